/**
 * Four OAuth clients hang at once: 64 channels of each are due, and a moment later 200 of a healthy client. The healthy ones must
 * be asked for within two seconds of their due time, and workers that read tokens that are valid must notice nothing.
 *
 * Measured are reads over gRPC and mTLS by a workload, eight at a time, for three seconds, while the refreshes run; their
 * p99 with the hang against the same without it.
 */
import { sql } from 'kysely';
import { createDatabase } from '../../broker/store/database.ts';
import { addChannels, addClient } from '../support/many-channels.ts';
import { useOwnPostgres } from '../support/postgres.ts';
import { useRedis } from '../support/redis.ts';
import { atEnd } from '../support/scope.ts';
import { migratedDatabase } from '../support/store.ts';
import { useOwnVault } from '../support/vault.ts';
import { useSetUpVault } from '../support/vault-set-up.ts';
import { useWorkload } from '../support/workload.ts';
import { useWorld } from '../support/world.ts';
import type { Bench } from './harness/bench.ts';

/** Of each client as many as there are slots: without a bound any of them would hold them all. */
const hanging = 64;
const sickNames = ['sick-a', 'sick-b', 'sick-c', 'sick-d'] as const;
const healthy = 200;
const read = 20;
const readers = 8;
const readForMs = 3_000;
const latestStartMs = 2_000;
const googleLatencyMs = 50;

export const bench: Bench = {
  title: `${hanging} channels of each of ${sickNames.length} hanging OAuth clients and ${healthy} due ones of a healthy one: reads of valid tokens during the hang against the same without it; the healthy ones start at most ${latestStartMs / 1_000} s late, or the bench fails.`,
  unit: 'ratio of the p99 without the hang to that with it',
  goal: 0.5,
  rounds: 3,
  async prepare(scope, tell) {
    const [own, postgres, redis] = await Promise.all([useOwnVault(scope), useOwnPostgres(scope), useRedis(scope)]);
    const vault = await useSetUpVault(scope, own);
    const databaseUrl = await migratedDatabase(postgres.url('postgres'));
    const world = await useWorld(scope, {
      vault,
      databaseUrl,
      redisUrl: redis.url,
      settings: { BROKER_LOG_LEVEL: 'warn', BROKER_REFRESH_CONCURRENCY: String(hanging) },
    });
    const well = await addClient(world, 'well');
    tell('adding the channels');
    const never = new Date(world.google.now() + 24 * 3_600_000);
    const add = (name: string, oauthClient: string, clientId: string, count: number) =>
      addChannels(world, { name, oauthClient, clientId, count, dueAt: never });
    const sick: { readonly clientId: string; readonly ids: readonly string[] }[] = [];
    for (const name of sickNames) {
      const clientId = await addClient(world, name);
      sick.push({ clientId, ids: await add(name, name, clientId, hanging) });
    }
    const sickOnes = sick.flatMap(({ ids }) => ids);
    const wellOnes = await add('well', 'well', well, healthy);
    const readOnes = await add('read', 'well', well, read);
    const workload = await useWorkload(scope, world, { reads: readOnes });
    for (const channelId of readOnes) await workload.getAccessToken({ channelId });
    const database = createDatabase({ url: databaseUrl, applicationName: 'bench' });
    atEnd(scope, () => database.close());
    const latency = { endpoint: 'token', grantType: 'refresh_token' } as const;
    world.google.faults.add({ fault: { kind: 'latency', ms: googleLatencyMs }, where: latency, times: 'always' });
    const late: number[] = [];
    const asked: number[] = [];

    /** Makes these channels due at that instant, as if nothing had failed before. */
    const makeDue = (ids: readonly string[], at: Date) =>
      database.run((db) =>
        sql`update channels set refresh_due_at = ${at}, refresh_failures = 0, last_failure = null, claimed_until = null
          where id = any (${ids})`.execute(db),
      );

    async function reads(): Promise<number> {
      const times: number[] = [];
      const end = performance.now() + readForMs;
      await Promise.all(
        Array.from({ length: readers }, async (_, reader) => {
          for (let turn = reader; performance.now() < end; turn += 1) {
            const begun = performance.now();
            await workload.getAccessToken({ channelId: readOnes[turn % read] ?? '' });
            times.push(performance.now() - begun);
          }
        }),
      );
      return times.toSorted((a, b) => a - b)[Math.floor(times.length * 0.99)] ?? 0;
    }

    /** Lets the breakers of the sick clients close: one probe, then the rest. */
    async function recover(): Promise<void> {
      for (let look = 0; look < 2; look += 1) {
        world.google.advance(120_000);
        await makeDue(sickOnes, new Date(world.google.now()));
        await world.broker.refreshDue();
      }
      await makeDue(sickOnes, never);
    }

    async function round(withHang: boolean): Promise<number> {
      // Past every back-off, breaker and valid token of the round before.
      world.google.advance(120_000);
      const hangs = (withHang ? sick : []).map(({ clientId }) =>
        world.google.faults.add({ fault: { kind: 'hang' }, where: { ...latency, clientId }, times: 'always' }),
      );
      if (withHang) await makeDue(sickOnes, new Date(world.google.now() - 1_000));
      const due = new Date(world.google.now());
      await makeDue(wellOnes, due);
      world.google.counts.reset();
      const refreshing = world.broker.refreshDue();
      const p99 = await reads();
      await world.google.counts.arrival({ ...latency, clientId: well }, healthy);
      const starts = world.google.counts.log({ ...latency, clientId: well }).map(({ at }) => at - due.getTime());
      const latest = Math.max(...starts);
      if (withHang) {
        late.push(latest);
        asked.push(...sick.map(({ clientId }) => world.google.counts.requests({ ...latency, clientId })));
      }
      for (const hang of hangs) hang.clear();
      await refreshing;
      if (withHang) await recover();
      if (latest > latestStartMs) throw new Error(`a healthy channel was asked for ${latest} ms after it was due`);
      return 1_000 / p99;
    }

    return {
      subject: { name: 'reads during the hang', unit: '1/p99 (1/s)', run: () => round(true) },
      baseline: { name: 'reads without it', unit: '1/p99 (1/s)', run: () => round(false) },
      notes: () => [
        `The last of the ${healthy} healthy channels was asked for ${Math.max(...late)} ms after it was due, in the worst round; allowed are ${latestStartMs} ms.`,
        `Of the ${hanging} of a client that hang at most ${Math.max(...asked)} were asked for at the same time.`,
      ],
    };
  },
};
