import type { Scheduler } from '../domain/caller.ts';
import type { Consent } from '../domain/consent.ts';
import type { AuthorizationServer, Clock, ReceivedGrant, Store, TenantKeys } from '../ports.ts';
import type { FailConsent } from './fail-consent.ts';
import type { SettleGrant } from './settle-grant.ts';

/** The callback itself has this long before somebody else takes over. */
const graceMs = 30_000;
/** After this the owner is asked again: a grant that cannot be checked for a day is not worth keeping. */
const giveUpMs = 24 * 3_600_000;
const batch = 20;

/**
 * Finishes consents whose refresh token is stored but whose checks were cut off: Google or YouTube did not answer, or
 * the broker was killed. Answers how many were looked at.
 */
export function createFinishConsents(deps: {
  store: Store;
  keys: TenantKeys;
  google: AuthorizationServer;
  failConsent: FailConsent;
  settleGrant: SettleGrant;
  clock: Clock;
  onFault: (error: unknown) => void;
}) {
  const { store, keys, google, failConsent, settleGrant, clock, onFault } = deps;

  return async (caller: Scheduler): Promise<number> => {
    const unfinished = await store.consents.unfinished(new Date(clock.now().getTime() - graceMs), batch);
    // One that cannot be finished must not hold back the others.
    for (const { consent, received } of unfinished) await finish(caller, consent, received).catch(onFault);
    return unfinished.length;
  };

  async function finish(caller: Scheduler, consent: Consent, received: ReceivedGrant): Promise<void> {
    const [channel, client] = await Promise.all([
      store.channels.find(consent.channel),
      store.oauthClients.find(consent.oauthClient),
    ]);
    if (!channel || !client) return;
    const context = { tenant: channel.tenant, channel: channel.id, generation: received.generation };
    const refreshToken = await keys.decrypt(context, received.refreshTokenEncrypted);
    const outcome = await google.refresh(client, refreshToken, received.dpopKeyVersion);
    const attempt = { consent, channel, received };
    if (!outcome.ok) {
      const tooLate = clock.now().getTime() - received.receivedAt.getTime() > giveUpMs;
      if (outcome.failure.class === 'grant_dead') await failConsent(caller, attempt, 'code_rejected');
      else if (tooLate) await failConsent(caller, attempt, 'google_unavailable');
      return;
    }
    await settleGrant(caller, { ...attempt, tokens: outcome.tokens, nonce: undefined });
  }
}
