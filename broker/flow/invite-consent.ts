import { type AuditRecord, auditRecord } from '../domain/audit-record.ts';
import { type Caller, callerName, type Person } from '../domain/caller.ts';
import { acceptsConsent, type Channel, releaseRefusal } from '../domain/channel.ts';
import type { Consent } from '../domain/consent.ts';
import { hashSecret, newId, newSecret, type RandomBytes } from '../domain/identifier.ts';
import type { Secret } from '../domain/secret.ts';
import { BrokerError } from '../errors.ts';
import type { Clock, Store } from '../ports.ts';
import type { Authorize } from './authorize.ts';

/** What an admin sends to the channel's owner. The broker keeps only the hash. */
export interface ConsentLink {
  readonly token: Secret<string>;
  readonly expiresAt: Date;
}

export interface InvitationDeps {
  readonly store: Store;
  readonly clock: Clock;
  readonly random: RandomBytes;
  /** How long a consent link can be used, in milliseconds. */
  readonly linkTtlMs: number;
}

/** Makes a consent link for a channel. Links made earlier go on working until they expire or one of them is used. */
export function createInviteConsent(deps: InvitationDeps & { authorize: Authorize }) {
  return async (caller: Person, input: { channel: string }): Promise<ConsentLink> => {
    const channel = await deps.authorize.channel(caller, 'consent.invite', input.channel);
    if (!acceptsConsent(channel)) {
      throw new BrokerError(releaseRefusal(channel) ?? 'INTERNAL', { detail: `state ${channel.state}` });
    }
    return invite(deps, caller, channel);
  };
}

/** Stores a new invitation and answers its link; `facts` go on its record. */
export async function invite(
  deps: InvitationDeps,
  caller: Caller,
  channel: Channel,
  facts: AuditRecord['facts'] = {},
): Promise<ConsentLink> {
  const { store, clock, random, linkTtlMs } = deps;
  const now = clock.now();
  const token = newSecret(random);
  const consent: Consent = {
    id: newId('co', random),
    channel: channel.id,
    tenant: channel.tenant,
    oauthClient: channel.oauthClient,
    linkHash: hashSecret(token),
    linkExpiresAt: new Date(now.getTime() + linkTtlMs),
    status: 'pending',
    failure: undefined,
    createdBy: callerName(caller),
    createdAt: now,
    request: undefined,
  };
  const target = { tenant: channel.tenant, channel: channel.id };
  await store.consents.create(
    consent,
    auditRecord(now, caller, 'consent.invite', 'ok', target, { consent: consent.id, ...facts }),
  );
  return { token, expiresAt: consent.linkExpiresAt };
}
