import { auditRecord } from '../domain/audit-record.ts';
import type { Scheduler } from '../domain/caller.ts';
import { type Channel, nextGeneration } from '../domain/channel.ts';
import type { Consent } from '../domain/consent.ts';
import { tokenNames } from '../domain/identifier.ts';
import type { Secret } from '../domain/secret.ts';
import type {
  AuthorizationServer,
  Clock,
  ReceivedGrant,
  RefreshTokenSpool,
  SpoolPlace,
  Store,
  TenantKeys,
  TokenOutcome,
} from '../ports.ts';
import { persist } from '../resilience.ts';
import type { FailConsent } from './fail-consent.ts';
import { wantsConfirmation } from './refresh-verdict.ts';
import type { SettleGrant } from './settle-grant.ts';

/** The callback itself has this long before somebody else takes over. */
const graceMs = 30_000;
/** After this the owner is asked again: a grant that cannot be checked for a day is not worth keeping. */
const giveUpMs = 24 * 3_600_000;
const batch = 20;

/**
 * Finishes consents whose refresh token is stored but whose checks were cut off: Google or YouTube did not answer, or
 * the broker was killed. `withoutCallback` names those that need not wait, since no callback can be at work on them.
 * Answers how many were looked at.
 */
export function createFinishConsents(deps: {
  store: Store;
  keys: TenantKeys;
  spool: RefreshTokenSpool;
  google: AuthorizationServer;
  failConsent: FailConsent;
  settleGrant: SettleGrant;
  clock: Clock;
  /** From 0 to 1. */
  randomFraction: () => number;
  /** Waits before a confirming question. */
  pause: (ms: number) => Promise<void>;
  onFault: (error: unknown) => void;
}) {
  const { store, keys, spool, google, failConsent, settleGrant, clock, onFault } = deps;

  return async (caller: Scheduler, withoutCallback: ReadonlySet<string>): Promise<number> => {
    const now = clock.now().getTime();
    const before = new Date(now - graceMs);
    const found = await store.consents.unfinished(withoutCallback.size > 0 ? new Date(now) : before, batch);
    const unfinished = found.filter(
      ({ consent, received }) => received.receivedAt < before || withoutCallback.has(consent.id),
    );
    // One that cannot be finished must not hold back the others.
    for (const { consent, received } of unfinished) await finish(caller, consent, received).catch(onFault);
    return unfinished.length;
  };

  async function finish(caller: Scheduler, consent: Consent, received: ReceivedGrant): Promise<void> {
    const [channel, client] = await Promise.all([
      store.channels.find(consent.channel),
      store.oauthClients.find(consent.oauthClient),
    ]);
    // Nothing is asked of Google for a channel that is suspended: it goes on when that ends.
    if (!channel || !client || client.disabledAt || channel.state === 'suspended') return;
    if (channel.state === 'revoked') {
      await failConsent(caller, { consent, channel, received }, 'channel_closed');
      return;
    }
    // By another link, while this one waited: asking Google about it would end in a conflict, again and again.
    if (received.generation < nextGeneration(channel)) {
      await failConsent(caller, { consent, channel, received }, 'overtaken');
      return;
    }
    // A newer token of this very grant waits on disk: it is stored first.
    if (spool.waiting().some((entry) => entry.channel === channel.id)) return;
    const context = { tenant: channel.tenant, channel: channel.id, generation: received.generation };
    const refreshToken = await keys.decrypt(context, received.refreshTokenEncrypted);
    const place = await spool.prepare(channel.tenant);
    const ask = () => google.refresh(client, refreshToken, received.dpopKeyVersion);
    const first = await ask();
    // Asked twice, as for a channel: once can be a slip, or another broker that has just had the token replaced. What that
    // one stored is not rejected: the row then holds another token.
    const outcome = first.ok || !wantsConfirmation(first.failure.class) ? first : await confirmed(ask);
    const attempt = { consent, channel, received };
    if (!outcome.ok) {
      const tooLate = clock.now().getTime() - received.receivedAt.getTime() > giveUpMs;
      if (outcome.failure.class === 'grant_dead') await failConsent(caller, attempt, 'code_rejected');
      else if (tooLate) await failConsent(caller, attempt, 'google_unavailable');
      return;
    }
    const { tokens } = outcome;
    const held = tokens.refreshToken ? await replace(caller, attempt, tokens.refreshToken, place) : received;
    await settleGrant(caller, { ...attempt, received: held, tokens, nonce: undefined });
  }

  async function confirmed(ask: () => Promise<TokenOutcome>): Promise<TokenOutcome> {
    await deps.pause(200 + deps.randomFraction() * 800);
    return ask();
  }

  /** Some authorization servers give a new refresh token with each refresh, and the one asked with is void (RFC 6749 section 6). */
  async function replace(
    caller: Scheduler,
    { channel, received }: { channel: Channel; received: ReceivedGrant },
    refreshToken: Secret<string>,
    place: SpoolPlace,
  ): Promise<ReceivedGrant> {
    const { generation, refreshTokenHash: formerTokenHash } = received;
    const target = { tenant: channel.tenant, channel: channel.id };
    const receivedAt = clock.now();
    const facts = { consent: received.consentId, generation, rotated: true };
    const record = auditRecord(receivedAt, caller, 'consent.receive', 'ok', target, facts);
    const rotated = { ...target, generation, refreshToken, formerTokenHash, receivedAt, record };
    const entry = await place.keep({ kind: 'rotated', ...rotated });
    try {
      const stored = {
        refreshTokenEncrypted: await persist(() => keys.encrypt({ ...target, generation }, refreshToken)),
        ...tokenNames(refreshToken),
      };
      await persist(() => store.channels.rotateToken({ ...rotated, ...stored }, record));
      await entry?.remove();
      return { ...received, ...stored };
    } catch (error) {
      entry?.leave();
      throw error;
    }
  }
}
