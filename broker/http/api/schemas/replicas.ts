/** Replicas of the broker on the wire. */
import * as z from 'zod';
import { replicaStates } from '../../../flow/list-replicas.ts';
import { component, instant } from './common.ts';

const replica = component(
  'Replica',
  z.object({
    id: z.string().describe('Host name and a random part; another one after each start.'),
    state: z
      .enum(replicaStates)
      .describe('`silent`: not seen for BROKER_REGION_TAKEOVER, so that others serve its regions.'),
    regions: z.array(z.string()).nullable().describe('The regions that it was given; null for all.'),
    version: z.string(),
    started_at: instant,
    seen_at: instant.describe('Its last sign of life, by the database’s clock.'),
    silent_seconds: z.int().nonnegative().describe('How long ago that was.'),
    stopped_at: instant.nullable().describe('When it said that it stops.'),
  }),
);

export const replicaList = component('ReplicaList', z.object({ replicas: z.array(replica) }));

export type ReplicaAnswer = z.output<typeof replica>;

export type ReplicaListAnswer = z.output<typeof replicaList>;
