/** The admin API's route for the replicas of the broker. */
import type { ListedReplica } from '../../flow/list-replicas.ts';
import { type Route, route } from './route.ts';
import * as wire from './schemas.ts';

export const replicaRoutes: readonly Route[] = [
  route(
    {
      method: 'get',
      path: '/v1/replicas',
      operationId: 'listReplicas',
      summary: 'Lists the replicas of the broker that were seen in the last day, the last seen first. For operators.',
      status: 200,
    },
    { answer: wire.replicaList },
    async ({ caller }, { flows }) => ({ replicas: (await flows.listReplicas(caller)).map(viewReplica) }),
  ),
];

function viewReplica(replica: ListedReplica): wire.ReplicaAnswer {
  const { id, state, regions, version, startedAt, seenAt, silentMs, stoppedAt } = replica;
  return {
    id,
    state,
    regions: regions ? [...regions] : null,
    version,
    started_at: startedAt.toISOString(),
    seen_at: seenAt.toISOString(),
    silent_seconds: Math.max(0, Math.floor(silentMs / 1_000)),
    stopped_at: stoppedAt?.toISOString() ?? null,
  };
}
