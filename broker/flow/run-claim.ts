import type { Caller } from '../domain/caller.ts';
import type { Admission, CachedToken, RefreshClaim, Store } from '../ports.ts';
import type { OAuthClientIncidents } from './oauth-client-incidents.ts';
import type { PerformRefresh } from './perform-refresh.ts';
import { RefreshRefused } from './refresh-verdict.ts';

/**
 * Refreshes a claimed channel within the limits of its OAuth client. Where these refuse it before anything was begun, the
 * claim is given back: the channel stays due for whoever may. What it says of the OAuth client is noted.
 */
export function createRunClaim(deps: {
  readonly store: Pick<Store, 'channels'>;
  readonly admission: Admission;
  readonly performRefresh: PerformRefresh;
  readonly incidents: Pick<OAuthClientIncidents, 'rejected' | 'succeeded' | 'look'>;
  readonly onFault: (error: unknown) => void;
}) {
  const { store, admission, performRefresh, incidents, onFault } = deps;
  return async (caller: Caller, claim: RefreshClaim): Promise<CachedToken> => {
    let begun = false;
    await incidents.look();
    try {
      const token = await admission.run(claim.channel.oauthClient, claim.channel.region, () => {
        begun = true;
        return performRefresh(caller, claim);
      });
      await incidents.succeeded(caller, claim).catch(onFault);
      return token;
    } catch (error) {
      if (error instanceof RefreshRefused && error.failure.class === 'client_rejected') {
        await incidents.rejected(caller, claim, error.failure).catch(onFault);
      }
      // Where that fails, too, the claim lapses by itself.
      if (!begun) await store.channels.giveBack(claim).catch(() => undefined);
      throw error;
    }
  };
}

export type RunClaim = ReturnType<typeof createRunClaim>;
