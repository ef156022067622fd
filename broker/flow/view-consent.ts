import type { Owner } from '../domain/caller.ts';
import { acceptsConsent, type Channel } from '../domain/channel.ts';
import type { Consent } from '../domain/consent.ts';
import { hashSecret } from '../domain/identifier.ts';
import type { Secret } from '../domain/secret.ts';
import { BrokerError } from '../errors.ts';
import type { Clock, Store } from '../ports.ts';

/** What the owner is shown before anything happens. */
export interface ConsentView {
  readonly tenant: string;
  readonly channelName: string;
  readonly scopes: readonly string[];
  /** Title of the YouTube channel that an earlier consent pinned. */
  readonly youtubeTitle: string | undefined;
}

/** Shows what a consent link asks for. Changes nothing: mail scanners open links, too. */
export function createViewConsent(deps: { store: Store; clock: Clock }) {
  return async (_caller: Owner, input: { link: Secret<string> }): Promise<ConsentView> => {
    const { channel } = await openInvitation(deps, input.link);
    return {
      tenant: channel.tenant,
      channelName: channel.name,
      scopes: channel.requestedScopes,
      youtubeTitle: channel.grant?.youtubeTitle,
    };
  };
}

/** Finds the pending consent behind a link; throws INVALID_CONSENT_LINK. */
export async function openInvitation(
  deps: { store: Store; clock: Clock },
  link: Secret<string>,
): Promise<{ consent: Consent; channel: Channel }> {
  const consent = await deps.store.consents.findByLink(hashSecret(link));
  if (!consent) throw new BrokerError('INVALID_CONSENT_LINK', { detail: 'unknown link' });
  if (consent.status !== 'pending')
    throw new BrokerError('INVALID_CONSENT_LINK', { detail: `consent is ${consent.status}` });
  if (consent.linkExpiresAt <= deps.clock.now())
    throw new BrokerError('INVALID_CONSENT_LINK', { detail: 'link has expired' });
  const channel = await deps.store.channels.find(consent.channel);
  if (!channel || !acceptsConsent(channel)) {
    throw new BrokerError('INVALID_CONSENT_LINK', { detail: `channel is ${channel?.state ?? 'gone'}` });
  }
  return { consent, channel };
}
