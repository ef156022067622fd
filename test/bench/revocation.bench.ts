/**
 * From the act to the refusal. A workload reads a token again and again on one open connection to one broker; an admin shuts it
 * out, or takes its rule back, at another broker. Measured is the time from before the admin's request is sent until the first
 * call is refused; and until the open stream of Subscribe says so. Every other trial is the one and the other.
 */

import { useMachine } from '../support/held-brokers.ts';
import { until } from '../support/poll.ts';
import { useOwnPostgres } from '../support/postgres.ts';
import { useRedis } from '../support/redis.ts';
import { migratedDatabase } from '../support/store.ts';
import { useSubscription } from '../support/subscription.ts';
import { useOwnVault } from '../support/vault.ts';
import { useSetUpVault } from '../support/vault-set-up.ts';
import { useWorkload } from '../support/workload.ts';
import { useWorld } from '../support/world.ts';
import type { Bench } from './harness/bench.ts';
import { median, short } from './harness/measure.ts';

const trials = 50;
const longestSeconds = 1;

interface Act {
  readonly name: string;
  readonly code: string;
  readonly shutOut: () => Promise<unknown>;
  readonly letIn: () => Promise<unknown>;
  readonly calls: number[];
  readonly streams: number[];
}

export const bench: Bench = {
  title: `From a revocation at one broker to the refusal at another, on an open connection that calls without a pause; ${trials} trials.`,
  unit: 'seconds',
  goal: longestSeconds,
  rounds: trials,
  async prepare(scope) {
    const [own, postgres, redis] = await Promise.all([useOwnVault(scope), useOwnPostgres(scope), useRedis(scope)]);
    const vault = await useSetUpVault(scope, own);
    const databaseUrl = await migratedDatabase(postgres.url('postgres'));
    const settings = { BROKER_LOG_LEVEL: 'warn' };
    const world = await useWorld(scope, { vault, databaseUrl, redisUrl: redis.url, settings });
    const channel = await world.connectedChannel();
    const machine = await useMachine(scope, {
      vault,
      google: world.google,
      databaseUrl,
      redisUrl: redis.url,
      settings,
    });
    const { grpcPort } = await machine.start();
    const workload = await useWorkload(
      scope,
      { ...world, broker: { ...world.broker, grpcPort } },
      { reads: [channel] },
    );
    const subject = { spiffe_id: workload.spiffeId, reason: 'bench' };
    const rules = `/v1/channels/${channel}/workloads`;
    const acts: readonly Act[] = [
      {
        name: 'deny list',
        code: 'WORKLOAD_DENIED',
        shutOut: () => world.api('POST', '/v1/workload-denials', subject),
        letIn: () => world.api('POST', '/v1/workload-denials/lift', subject),
        calls: [],
        streams: [],
      },
      {
        name: 'rule removed',
        code: 'ACCESS_DENIED',
        shutOut: () => world.api('POST', `${rules}/remove`, subject),
        letIn: () => world.api('POST', rules, subject),
        calls: [],
        streams: [],
      },
    ];

    const answer = () =>
      workload.getAccessToken({ channelId: channel }).then(
        () => 'ok',
        (error: { code: string }) => error.code,
      );

    async function trial(act: Act): Promise<number> {
      await until('it is let in', async () => (await answer()) === 'ok');
      const stream = useSubscription(scope, workload.subscribe, [channel]);
      await stream.stands(channel, 'AVAILABLE 1');
      const told = until('the stream tells', () => stream.standing(channel)?.endsWith(act.code) === true).then(() =>
        performance.now(),
      );
      const begun = performance.now();
      const shutOut = act.shutOut();
      let last = await answer();
      while (last === 'ok') last = await answer();
      const refused = (performance.now() - begun) / 1_000;
      if (last !== act.code) throw new Error(`${act.name}: refused by ${last}`);
      await shutOut;
      act.calls.push(refused);
      act.streams.push(((await told) - begun) / 1_000);
      stream.cancel();
      await act.letIn();
      return refused;
    }

    const slowest = (values: readonly number[]) => Math.max(...values);
    const figures = (values: readonly number[]) =>
      `median ${short(median(values))} s, longest ${short(slowest(values))} s`;
    return {
      name: 'to the first refused call',
      run: (round) => trial(acts[round % 2] as Act),
      conditions: () =>
        acts.flatMap(({ name, calls, streams }) => [
          {
            text: `${name}, calls on the open connection: ${figures(calls)}, at most ${longestSeconds} s`,
            holds: slowest(calls) <= longestSeconds,
          },
          {
            text: `${name}, the open stream, looked at every 20 ms: ${figures(streams)}, at most ${longestSeconds} s`,
            holds: slowest(streams) <= longestSeconds,
          },
        ]),
      notes: () => [
        'The time has the admin’s whole request in it: TLS is not, HTTP, authorization, the transaction and its record are.',
      ],
    };
  },
};
