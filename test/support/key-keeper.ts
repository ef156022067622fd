/** The key keeper by itself on a real Vault and a real database, without the rest of a broker. */
import { randomUUID } from 'node:crypto';
import { setTimeout as timer } from 'node:timers/promises';
import { createAuthorize } from '../../broker/flow/authorize.ts';
import { createTenantKeyFlows } from '../../broker/flow/tenant-key-flows.ts';
import type { Clock, Store, TenantKeys } from '../../broker/ports.ts';

export interface KeeperParts {
  readonly store: Store;
  readonly keys: TenantKeys;
  readonly clock?: Clock;
  readonly rowsPerSecond?: number;
  readonly graceMs?: number;
  readonly pollIntervalMs?: number;
  readonly onRewrapped?: (rows: number) => void;
  /** Told the newest version of a tenant's key, as the cache of data keys is. */
  readonly onVersion?: (tenant: string, version: number) => void;
  readonly onFault?: (error: unknown) => void;
}

/** Nothing runs until it is told to. */
export function createKeeper(parts: KeeperParts) {
  const { store, keys, clock = { now: () => new Date() } } = parts;
  const nothing = () => undefined;
  return createTenantKeyFlows({
    store,
    keys,
    dataKeys: { current: unused, unwrap: unused, keyVersionIs: parts.onVersion ?? nothing, forget: nothing },
    identityClock: clock,
    keySettings: {
      pollIntervalMs: parts.pollIntervalMs ?? 60_000,
      rewrapRowsPerSecond: parts.rowsPerSecond,
      minVersionGraceMs: parts.graceMs ?? 86_400_000,
    },
    keyNews: { fault: nothing, pending: nothing, unrewrappable: nothing, version: nothing },
    onRewrapped: parts.onRewrapped ?? nothing,
    onFault:
      parts.onFault ??
      ((error) => {
        throw error;
      }),
    newRequestId: () => randomUUID(),
    sleep: async (ms, signal) => void (await timer(ms, undefined, { signal }).catch(nothing)),
    pause: (ms) => timer(ms),
    operatorsGroup: 'operators',
    authorize: createAuthorize({ store, clock, operatorsGroup: 'operators', auditorsGroup: 'auditors' }),
  });
}

async function unused(): Promise<never> {
  throw new Error('the keeper needs no data key');
}
