import type { Person } from '../domain/caller.ts';
import type { SeenReplica, Store } from '../ports.ts';
import type { Authorize } from './authorize.ts';

/** `silent`: not seen for so long that others serve its regions; `stopped`: it said that it stops. */
export const replicaStates = ['alive', 'silent', 'stopped'] as const;

export interface ListedReplica extends SeenReplica {
  readonly state: (typeof replicaStates)[number];
}

/** Lists the brokers of the last day as they see each other in the database, newest sign of life first. For operators. */
export function createListReplicas(deps: {
  readonly authorize: Authorize;
  readonly store: Pick<Store, 'replicas'>;
  /** How long a replica may be silent before others serve its regions. */
  readonly takeoverMs: number;
}) {
  const { authorize, store, takeoverMs } = deps;

  return async (caller: Person): Promise<readonly ListedReplica[]> => {
    await authorize.operator(caller, 'replica.list');
    await authorize.looked(caller, 'replica.list', {});
    return (await store.replicas.list()).map((seen) => ({ ...seen, state: replicaState(seen, takeoverMs) }));
  };
}

export function replicaState({ stoppedAt, silentMs }: SeenReplica, takeoverMs: number): ListedReplica['state'] {
  if (stoppedAt) return 'stopped';
  return silentMs > takeoverMs ? 'silent' : 'alive';
}
