/** Two notifications, one of them a dead letter, for what the HTTP room and the CLI do with them. */
import type { Secret } from '../../broker/domain/secret.ts';
import { BrokerError } from '../../broker/errors.ts';
import type { ManageNotifications } from '../../broker/flow/manage-notifications.ts';
import type { StoredNotification } from '../../broker/ports.ts';

const at = new Date('2026-03-01T12:00:00Z');

export const deadLetter: StoredNotification = {
  id: 'nt_0123456789abcdefghjkmnpqrs',
  type: 'channel.needs_reconsent',
  at,
  tenant: 'acme',
  channel: 'ch_0123456789abcdefghjkmnpqrs',
  generation: 1,
  oauthClient: 'uploads',
  facts: { state: 'needs_reconsent', former_state: 'active', reason: 'grant_revoked_or_expired' },
  state: 'dead',
  attempts: 12,
  dueAt: at,
  firstAttemptAt: at,
  lastAttemptAt: new Date('2026-03-05T12:00:00Z'),
  lastProblem: 'status 503',
  endedAt: new Date('2026-03-05T12:00:00Z'),
};

const incident: StoredNotification = {
  ...deadLetter,
  id: 'nt_1123456789abcdefghjkmnpqrs',
  type: 'oauth_client.incident',
  tenant: undefined,
  channel: undefined,
  generation: undefined,
  facts: { reason: 'client_rejected' },
  state: 'delivered',
  attempts: 1,
  lastProblem: undefined,
};

/** @param secrets where the signing secrets go that are handed over */
export function createFakeNotifications(secrets: Secret<string>[]): ManageNotifications {
  const find = (id: string): StoredNotification => {
    const found = [deadLetter, incident].find((one) => one.id === id);
    if (!found) throw new BrokerError('NOTIFICATION_NOT_FOUND');
    return found;
  };
  return {
    list: async (_caller, { state }) => [incident, deadLetter].filter((one) => !state || one.state === state),
    show: async (_caller, { id }) => find(id),
    resend: async (_caller, { id }) => ({ ...find(id), state: 'waiting', attempts: 0, endedAt: undefined }),
    setSecret: async (_caller, { secret }) => {
      secrets.push(secret);
      return { bothUntil: new Date('2026-03-02T12:00:00Z') };
    },
  };
}
