/**
 * Stops a broker at a named step of a refresh. `held-broker.ts` has the composition root call this `createFlows` in
 * place of its own: the flows and all parts behind them are the real ones, and a call of a port is held where it was
 * asked for. Whoever is held there waits until it is let go, or killed.
 */
import { createFlows as createRealFlows, type FlowDeps, type Flows } from '../../broker/flow/flows.ts';

export const refreshSteps = [
  'before claim',
  'after claim',
  'after decrypt',
  // Where it has brought a new refresh token: when that is on disk. A process that is killed before cannot give it back.
  'after Google’s answer',
  'after write',
  'before release',
] as const;

export type RefreshStep = (typeof refreshSteps)[number];

let held: { readonly step: RefreshStep; readonly onReached: () => void } | undefined;
let letGo: () => void = () => {};
let go = Promise.resolve();

/** Whoever comes to the step from now on waits there. */
export function holdAt(step: RefreshStep, onReached: () => void): void {
  held = { step, onReached };
  go = new Promise((resolve) => {
    letGo = resolve;
  });
}

export function goOn(): void {
  held = undefined;
  letGo();
}

async function reach(step: RefreshStep): Promise<void> {
  if (held?.step !== step) return;
  held.onReached();
  await go;
}

export function createFlows(deps: FlowDeps): Flows {
  const { store, keys, spool, google, cache } = deps;
  const { channels } = store;
  return createRealFlows({
    ...deps,
    store: {
      ...store,
      channels: {
        ...channels,
        async claimDue(...asked) {
          await reach('before claim');
          const claims = await channels.claimDue(...asked);
          if (claims.length > 0) await reach('after claim');
          return claims;
        },
        async settleAll(...asked) {
          const outcomes = await channels.settleAll(...asked);
          await reach('after write');
          return outcomes;
        },
      },
    },
    keys: {
      ...keys,
      async decrypt(...asked) {
        const refreshToken = await keys.decrypt(...asked);
        await reach('after decrypt');
        return refreshToken;
      },
    },
    google: {
      ...google,
      async refresh(...asked) {
        const outcome = await google.refresh(...asked);
        if (outcome.ok && !outcome.tokens.refreshToken) await reach('after Google’s answer');
        return outcome;
      },
    },
    spool: {
      ...spool,
      async prepare(tenant) {
        const place = await spool.prepare(tenant);
        return {
          async keep(token) {
            const entry = await place.keep(token);
            await reach('after Google’s answer');
            return entry;
          },
        };
      },
    },
    cache: {
      ...cache,
      async put(...asked) {
        await reach('before release');
        return cache.put(...asked);
      },
    },
  });
}
