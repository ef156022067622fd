/**
 * How long a token is served after an admin has revoked or suspended its channel: from the moment that the request is sent
 * until the last of three sidecars refuses the worker beside it. Two brokers share PostgreSQL and Redis; the act is done at
 * one of them, and two of the sidecars are at the other. Each sidecar holds the token in its memory, and its worker reads it
 * in a loop on a connection that stays open, so nobody refuses because a token has lapsed.
 *
 * The news is pushed: commit → NOTIFY → both brokers → the streams of the sidecars. The look that would find it without
 * (brokers every five seconds, sidecars every ten) is far too slow to be what is measured.
 */
import { Agent, get, type IncomingMessage } from 'node:http';
import { performance } from 'node:perf_hooks';
import { useBroker } from '../support/broker.ts';
import { useOwnPostgres } from '../support/postgres.ts';
import { useRedis } from '../support/redis.ts';
import { useRevokeWorld } from '../support/revoke-world.ts';
import { atEnd } from '../support/scope.ts';
import { isReady, type RunningSidecar, useSidecar } from '../support/sidecar.ts';
import { migratedDatabase } from '../support/store.ts';
import { useWorkload } from '../support/workload.ts';
import type { Bench } from './harness/bench.ts';

const acts = ['revoke', 'suspend'] as const;
/** In a round, of each act. */
const trials = 10;
const rounds = 4;
const reason = 'bench';

export const bench: Bench = {
  title: `From the request that revokes or suspends a channel to the refusal by the last of three sidecars at two brokers: the slowest of ${trials * acts.length} in a round.`,
  unit: 'seconds',
  goal: 1,
  rounds,
  async prepare(scope, tell) {
    const [postgres, redis] = await Promise.all([useOwnPostgres(scope), useRedis(scope)]);
    const databaseUrl = await migratedDatabase(postgres.url('postgres'));
    const settings = { BROKER_LOG_LEVEL: 'warn' };
    const world = await useRevokeWorld(scope, { databaseUrl, redisUrl: redis.url, settings });
    const { vault, google } = world;
    const clock = { now: () => new Date(google.now()) };
    const second = await useBroker(scope, { vault, google, databaseUrl, redisUrl: redis.url, clock, settings });
    const agent = new Agent({ keepAlive: true });
    atEnd(scope, () => agent.destroy());
    const sidecars: RunningSidecar[] = [];
    for (const [workload, broker] of [
      ['here', world.broker],
      ['there', second],
      ['there-too', second],
    ] as const) {
      await useWorkload(scope, world, { name: workload });
      const sidecar = await useSidecar(scope, { vault, broker: `127.0.0.1:${broker.grpcPort}`, workload });
      await isReady(sidecar);
      sidecars.push(sidecar);
    }
    const trustDomain = vault.layout.trustDomain;

    async function channelOf(name: string): Promise<string> {
      const channel = await world.connect(name, name);
      for (const workload of ['here', 'there', 'there-too']) {
        const spiffeId = `spiffe://${trustDomain}/workload/${workload}`;
        await world.api('POST', `/v1/channels/${channel}/workloads`, { spiffe_id: spiffeId, reason });
      }
      return channel;
    }

    async function read(sidecar: RunningSidecar, channel: string): Promise<number> {
      const response = await new Promise<IncomingMessage>((resolve, reject) => {
        const headers = { 'X-Sidecar-Request': 'true' };
        get(`${sidecar.url}/v1/channels/${channel}/token`, { agent, headers }, resolve).on('error', reject);
      });
      response.resume();
      return response.statusCode ?? 0;
    }

    /** Resolves when the worker's reads are refused; throws where they were not served until then. */
    async function refused(sidecar: RunningSidecar, channel: string): Promise<number> {
      for (const giveUp = performance.now() + 30_000; performance.now() < giveUp; ) {
        const status = await read(sidecar, channel);
        if (status === 403) return performance.now();
        if (status !== 200) throw new Error(`a sidecar answered ${status}`);
        await new Promise(setImmediate);
      }
      throw new Error('a sidecar went on serving the token for 30 s');
    }

    async function act(what: (typeof acts)[number], channel: string): Promise<number> {
      const path = `/v1/channels/${channel}`;
      const { digest: plan } = await world.api<{ digest: string }>('GET', `${path}/revocation/plan`);
      for (const sidecar of sidecars) {
        // Twice: the second is from the sidecar's memory, which hears of changes by then.
        for (const times of [1, 2]) {
          const status = await read(sidecar, channel);
          if (status !== 200) throw new Error(`read ${times} before the act answered ${status}`);
        }
      }
      const begun = performance.now();
      const refusals = sidecars.map((sidecar) => refused(sidecar, channel));
      await (what === 'revoke'
        ? world.api('POST', `${path}/revocation`, { plan, reason })
        : world.api('POST', `${path}/suspend`, { reason }));
      return (Math.max(...(await Promise.all(refusals))) - begun) / 1_000;
    }

    const all: number[] = [];
    return {
      name: 'until the last sidecar refuses',
      async run(round) {
        tell(`round ${round}`);
        const took: number[] = [];
        for (let trial = 0; trial < trials; trial += 1) {
          for (const what of acts) took.push(await act(what, await channelOf(`${what}-${round}-${trial}`)));
        }
        if (round > 0) all.push(...took);
        return Math.max(...took);
      },
      notes: () => {
        const sorted = all.toSorted((a, b) => a - b);
        const ms = (part: number) => Math.round((sorted[Math.floor((sorted.length - 1) * part)] ?? 0) * 1_000);
        return [
          `Of ${sorted.length} acts half were refused everywhere within ${ms(0.5)} ms, 95 % within ${ms(0.95)} ms, all within ${ms(1)} ms.`,
        ];
      },
    };
  },
};
