import type { Caller } from '../domain/caller.ts';
import type { Admission, CachedToken, RefreshClaim, Store } from '../ports.ts';
import type { PerformRefresh } from './perform-refresh.ts';

/**
 * Refreshes a claimed channel within the limits of its OAuth client. Where these refuse it before anything was begun, the
 * claim is given back: the channel stays due for whoever may.
 */
export function createRunClaim(deps: {
  readonly store: Pick<Store, 'channels'>;
  readonly admission: Admission;
  readonly performRefresh: PerformRefresh;
}) {
  const { store, admission, performRefresh } = deps;
  return async (caller: Caller, claim: RefreshClaim): Promise<CachedToken> => {
    let begun = false;
    try {
      return await admission.run(claim.channel.oauthClient, claim.channel.region, () => {
        begun = true;
        return performRefresh(caller, claim);
      });
    } catch (error) {
      // Where that fails, too, the claim lapses by itself.
      if (!begun) await store.channels.giveBack(claim).catch(() => undefined);
      throw error;
    }
  };
}

export type RunClaim = ReturnType<typeof createRunClaim>;
