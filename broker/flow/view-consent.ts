import { type AuditTarget, auditRecord } from '../domain/audit-record.ts';
import type { Owner } from '../domain/caller.ts';
import { acceptsConsent, type Channel } from '../domain/channel.ts';
import type { Consent } from '../domain/consent.ts';
import { hashSecret } from '../domain/identifier.ts';
import type { Secret } from '../domain/secret.ts';
import { BrokerError } from '../errors.ts';
import type { Clock, Store } from '../ports.ts';
import type { RecordRefusals } from './record-refusals.ts';

/** What the owner is shown before anything happens. */
export interface ConsentView {
  readonly tenant: string;
  readonly channelName: string;
  readonly scopes: readonly string[];
  /** Title of the YouTube channel that an earlier consent pinned. */
  readonly youtubeTitle: string | undefined;
}

/** Shows what a consent link asks for. Changes nothing: mail scanners open links, too. */
export function createViewConsent(deps: InvitationDeps) {
  return async (caller: Owner, input: { link: Secret<string> }): Promise<ConsentView> => {
    const { channel } = await openInvitation(deps, caller, input.link);
    return {
      tenant: channel.tenant,
      channelName: channel.name,
      scopes: channel.requestedScopes,
      youtubeTitle: channel.grant?.youtubeTitle,
    };
  };
}

export interface InvitationDeps {
  readonly store: Store;
  readonly clock: Clock;
  readonly refusals: RecordRefusals;
}

/** Finds the pending consent behind a link; throws INVALID_CONSENT_LINK, on record. */
export async function openInvitation(
  { store, clock, refusals }: InvitationDeps,
  caller: Owner,
  link: Secret<string>,
): Promise<{ consent: Consent; channel: Channel }> {
  const refuse = async (detail: string, target: AuditTarget): Promise<never> => {
    const code = 'INVALID_CONSENT_LINK';
    await refusals.record(auditRecord(clock.now(), caller, 'consent.open', code, target, { detail }));
    throw new BrokerError(code, { detail });
  };
  const consent = await store.consents.findByLink(hashSecret(link));
  if (!consent) return refuse('unknown link', {});
  const target = { tenant: consent.tenant, channel: consent.channel };
  if (consent.status !== 'pending') return refuse(`consent is ${consent.status}`, target);
  if (consent.linkExpiresAt <= clock.now()) return refuse('link has expired', target);
  const channel = await store.channels.find(consent.channel);
  if (!channel || !acceptsConsent(channel)) return refuse(`channel is ${channel?.state ?? 'gone'}`, target);
  return { consent, channel };
}
