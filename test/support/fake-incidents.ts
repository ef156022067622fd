import type { Channel } from '../../broker/domain/channel.ts';
import { BrokerError } from '../../broker/errors.ts';
import type { Flows } from '../../broker/http/flows.ts';
import type { ClientIncident } from '../../broker/ports.ts';

const at = new Date('2026-03-01T12:00:00Z');

/** Studio's grants seem dead, and half a day before Google had refused it. */
const open: ClientIncident = {
  id: 2,
  oauthClient: 'studio',
  kind: 'mass_invalid_grant',
  openedAt: at,
  error: 'invalid_grant',
  ended: undefined,
};
const over: ClientIncident = {
  ...open,
  id: 1,
  kind: 'client_rejected',
  error: 'invalid_client',
  openedAt: new Date('2026-03-01T00:00:00Z'),
  ended: { at: new Date('2026-03-01T00:10:00Z'), by: 'scheduler', ending: 'recovered' },
};

/** One open incident of the OAuth client `studio`, with one channel that was changed before it was known. */
export function createFakeIncidents({ id, tenant }: Channel): Flows['oauthClientIncidents'] {
  const suspect = { channel: id, tenant, firstAt: at, lastAt: at, error: 'invalid_grant', believed: true };
  return {
    list: async (_caller, { all }) => (all ? [open, over] : [open]),
    show: async (_caller, { oauthClient }) =>
      oauthClient === 'studio' ? [{ incident: open, suspects: [suspect], total: 1 }] : [],
    thaw: async (caller, { kind, believe }) => {
      if (!caller.groups.includes('operators')) throw new BrokerError('ACCESS_DENIED', { detail: 'not an operator' });
      if (kind !== open.kind) throw new BrokerError('INCIDENT_NOT_FOUND');
      return { restored: believe ? [] : [{ channel: id, tenant }] };
    },
  };
}
