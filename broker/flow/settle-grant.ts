/**
 * Checks a grant that Google has given, and makes it the channel's: whose identity is it, which YouTube channel does it
 * open, are both the pinned ones. Runs right after the callback, and again from the scheduler where Google or YouTube
 * did not answer then: the refresh token is stored already, the owner need do nothing more.
 */
import { auditRecord } from '../domain/audit-record.ts';
import type { Caller } from '../domain/caller.ts';
import type { Channel } from '../domain/channel.ts';
import { proofDueAt, refreshDueAt } from '../domain/refresh-schedule.ts';
import { BrokerError } from '../errors.ts';
import type {
  AccessTokenCache,
  AuthorizationServer,
  Clock,
  ReceivedGrant,
  Store,
  TokenResponse,
  YouTube,
  YouTubeChannel,
} from '../ports.ts';
import { persist } from '../resilience.ts';
import type { ConsentAttempt, FailConsent, FailedConsent } from './fail-consent.ts';

export type ConsentOutcome =
  | { readonly kind: 'completed'; readonly tenant: string; readonly channelName: string; readonly youtubeTitle: string }
  /** Stored; the checks go on by themselves. */
  | { readonly kind: 'received'; readonly tenant: string; readonly channelName: string }
  | FailedConsent;

/** Without `received` Google sent no refresh token, because the stored one still stands. */
export interface GrantToSettle extends ConsentAttempt {
  readonly tokens: TokenResponse;
  /** The nonce of the authorization request; undefined when the ID token came with a refresh. */
  readonly nonce: string | undefined;
}

export type SettleGrant = (caller: Caller, grant: GrantToSettle) => Promise<ConsentOutcome>;

export function createSettleGrant(deps: {
  store: Store;
  google: AuthorizationServer;
  youtube: YouTube;
  cache: AccessTokenCache;
  failConsent: FailConsent;
  clock: Clock;
  /** Told when a channel has become active, so that the scheduler knows of its due time. */
  onActive: () => void;
}): SettleGrant {
  const { store, google, youtube, cache, failConsent, clock, onActive } = deps;

  return async (caller, grant) => {
    const { consent, channel, received, tokens } = grant;
    const names = { tenant: channel.tenant, channelName: channel.name };
    const identity = await identify(grant);
    if (identity === 'unanswered') {
      if (received) return { kind: 'received', ...names };
      return failConsent(caller, grant, 'google_unavailable');
    }
    if (identity === 'unproven') return failConsent(caller, grant, 'identity_unproven');

    const { subject, channels } = identity;
    const [chosen] = channels;
    const pinned = channel.grant;
    if (pinned && pinned.googleSubject !== subject) {
      return failConsent(caller, grant, 'other_account', titles(chosen, channel));
    }
    if (!chosen) return failConsent(caller, grant, 'no_channel');
    if (channels.length > 1) return failConsent(caller, grant, 'several_channels');
    if (pinned && pinned.youtubeChannelId !== chosen.id) {
      return failConsent(caller, grant, 'other_channel', titles(chosen, channel));
    }

    const now = clock.now();
    const facts = {
      consent: consent.id,
      googleSubject: subject,
      youtubeChannel: chosen.id,
      scopes: tokens.scopes ?? [],
    };
    const target = { tenant: channel.tenant, channel: channel.id };
    if (!received) {
      const record = auditRecord(now, caller, 'consent.complete', 'ok', target, { ...facts, refreshToken: 'kept' });
      await store.consents.completeWithoutToken(consent.id, now, record);
    } else {
      await activate(caller, channel, received, tokens, { subject, chosen }, facts);
    }
    return { kind: 'completed', ...names, youtubeTitle: chosen.title };
  };

  async function identify({
    channel,
    consent,
    tokens,
    nonce,
  }: GrantToSettle): Promise<{ subject: string; channels: readonly YouTubeChannel[] } | 'unproven' | 'unanswered'> {
    const client = await store.oauthClients.find(consent.oauthClient);
    if (!tokens.idToken || !client) return 'unproven';
    try {
      const { subject } = await google.verifyIdToken(client, tokens.idToken, nonce);
      return { subject, channels: await youtube.channelsOf(tokens.accessToken) };
    } catch (error) {
      if (error instanceof BrokerError && error.code === 'INVALID_AUTHORIZATION_RESPONSE') return 'unproven';
      if (error instanceof BrokerError && error.code === 'AUTHORIZATION_SERVER_UNAVAILABLE') return 'unanswered';
      throw new BrokerError('INTERNAL', { detail: `checking the grant of ${channel.id}`, cause: error });
    }
  }

  async function activate(
    caller: Caller,
    channel: Channel,
    received: ReceivedGrant,
    tokens: TokenResponse,
    identity: { subject: string; chosen: YouTubeChannel },
    facts: Readonly<Record<string, string | readonly string[]>>,
  ): Promise<void> {
    const now = clock.now();
    const key = cache.keyOf(channel.id, received.generation);
    const token = {
      accessTokenCacheKey: key,
      tokenExpiresAt: tokens.expiresAt,
      refreshedAt: now,
      refreshDueAt: refreshDueAt(channel.id, now, tokens.expiresAt),
      // The identity and the channel were looked at just now.
      proofDueAt: proofDueAt(channel.id, now),
    };
    const pinned = {
      googleSubject: identity.subject,
      youtubeChannelId: identity.chosen.id,
      youtubeTitle: identity.chosen.title,
    };
    const target = { tenant: channel.tenant, channel: channel.id };
    const record = auditRecord(now, caller, 'consent.complete', 'ok', target, {
      ...facts,
      generation: received.generation,
    });
    try {
      await persist(() => store.consents.activate(received, pinned, now, token, record));
    } catch (error) {
      // The commit may have been done and only its answer lost: then the try after it finds its own work.
      if (!(await isActivated(channel.id, received))) throw error;
    }
    await cache.put(channel.tenant, key, { accessToken: tokens.accessToken, expiresAt: tokens.expiresAt });
    onActive();
  }

  async function isActivated(id: string, received: ReceivedGrant): Promise<boolean> {
    const grant = (await store.channels.find(id))?.grant;
    return grant?.generation === received.generation && grant.refreshTokenHash === received.refreshTokenHash;
  }
}

function titles(chosen: YouTubeChannel | undefined, channel: Channel) {
  return {
    ...(chosen ? { youtubeTitle: chosen.title } : {}),
    ...(channel.grant ? { pinnedTitle: channel.grant.youtubeTitle } : {}),
  };
}
