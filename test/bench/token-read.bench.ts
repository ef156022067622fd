/**
 * What a worker waits for: a token from the sidecar's memory, by its own interface and by Google's metadata protocol, with
 * everything on (header checks, attestation, allow-list, rate, metrics, a log line for each token), against `node:http`
 * with a constant answer of the same size. Sidecar, bare server and load generator are processes of their own.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { Secret } from '../../broker/domain/secret.ts';
import { freePort } from '../../stack/free-port.ts';
import { until } from '../support/poll.ts';
import { atEnd, useFolder } from '../support/scope.ts';
import { readToken, sidecarEnvironment, sidecarMain } from '../support/sidecar.ts';
import { tokenFor, useTokenServer } from '../support/token-server.ts';
import { useSetUpVault } from '../support/vault-set-up.ts';
import type { Bench, Condition } from './harness/bench.ts';
import { median, short } from './harness/measure.ts';
import type { Loaded } from './http-load/generator.ts';
import { useBareServer, useLoadGenerator } from './http-load/load.ts';

const channel = 'ch_bench';
const connections = [1, 16, 64] as const;
const sides = ['bare', 'native', 'GCE'] as const;
const measuredMs = 2_000;
const leastRate = 0.7;
const mostP99 = 2;
/** As long as Google's own tokens are, about. */
const tokenLength = 220;

type Side = (typeof sides)[number];
type Round = ReadonlyMap<string, Loaded>;
const keyOf = (side: Side, many: number) => `${side} ${many}`;

export const bench: Bench = {
  title:
    'Reading a token from the sidecar’s memory with everything on, against node:http with a constant answer, at 1, 16 and 64 connections.',
  unit: 'ratio to node:http',
  goal: leastRate,
  rounds: 5,
  async prepare(scope, tell) {
    const vault = await useSetUpVault(scope);
    const broker = await useTokenServer(scope, vault);
    const accessToken = new Secret('ya29.'.padEnd(tokenLength, 'x'));
    const released = { ...tokenFor(3_600), accessToken };
    broker.answer(() => released);

    const [port, gcePort, operationsPort] = [await freePort(), await freePort(), await freePort()];
    const settings = {
      SIDECAR_LISTEN: `127.0.0.1:${port}`,
      SIDECAR_GCE_CHANNELS: `${channel}=${gcePort}`,
      SIDECAR_OPERATIONS_LISTEN: `127.0.0.1:${operationsPort}`,
      SIDECAR_CALLERS: `${channel}=self|uid:0|socket`,
    };
    const env = await sidecarEnvironment(scope, { vault, broker: broker.address, settings });
    // The log goes to a file, as on most machines.
    const logFile = await open(join(await useFolder(scope), 'log'), 'w');
    atEnd(scope, () => logFile.close());
    const sidecar = spawn(process.execPath, [sidecarMain, 'run'], { env, stdio: ['ignore', logFile.fd, 'inherit'] });
    atEnd(scope, async () => {
      const exited = once(sidecar, 'exit');
      sidecar.kill();
      await exited;
    });
    const ready = `http://127.0.0.1:${operationsPort}/readyz`;
    await until('the sidecar is ready', () =>
      fetch(ready).then(
        ({ ok }) => ok,
        () => false,
      ),
    );
    const url = `http://127.0.0.1:${port}`;
    const { body } = await readToken({ url }, channel);
    tell(`the answer has ${JSON.stringify(body).length} bytes`);

    const ports = { bare: await useBareServer(scope, JSON.stringify(body).length + 1), native: port, GCE: gcePort };
    const requests = {
      bare: requestOf(ports.bare, '/', 'X-Sidecar-Request: true'),
      native: requestOf(port, `/v1/channels/${channel}/token`, 'X-Sidecar-Request: true'),
      GCE: requestOf(gcePort, '/computeMetadata/v1/instance/service-accounts/default/token', 'Metadata-Flavor: Google'),
    };
    const load = useLoadGenerator(scope);
    const rounds: Round[] = [];
    let asked: Round | undefined;

    /** The three take turns at each number of connections; both sides of the contest are from the same turns. */
    async function measureRound(): Promise<Round> {
      const round = new Map<string, Loaded>();
      const order = rounds.length % 2 === 0 ? sides : sides.toReversed();
      for (const many of connections)
        for (const side of order) {
          const loaded = await load({
            port: ports[side],
            connections: many,
            milliseconds: measuredMs,
            request: requests[side],
          });
          round.set(keyOf(side, many), loaded);
        }
      rounds.push(round);
      return round;
    }
    async function meanOf(of: readonly Side[]): Promise<number> {
      const round = asked ?? (await measureRound());
      asked = asked ? undefined : round;
      const rates = of.flatMap((side) => connections.map((many) => round.get(keyOf(side, many))?.perSecond ?? 0));
      return Math.exp(rates.reduce((sum, rate) => sum + Math.log(rate), 0) / rates.length);
    }
    const over = (value: (loaded: Loaded) => number, side: Side, many: number) =>
      median(rounds.slice(1).map((round) => value(round.get(keyOf(side, many)) as Loaded)));
    const against = (value: (loaded: Loaded) => number, side: Side, many: number) =>
      median(
        rounds
          .slice(1)
          .map(
            (round) => value(round.get(keyOf(side, many)) as Loaded) / value(round.get(keyOf('bare', many)) as Loaded),
          ),
      );
    const rateOf = ({ perSecond }: Loaded) => perSecond;
    const p99Of = ({ p99 }: Loaded) => p99;

    return {
      subject: { name: 'sidecar', unit: 'tokens/s', run: () => meanOf(['native', 'GCE']) },
      baseline: { name: 'node:http', unit: 'answers/s', run: () => meanOf(['bare']) },
      conditions: () =>
        (['native', 'GCE'] as const).flatMap((side) =>
          connections.flatMap((many): Condition[] => {
            const [rate, p99] = [against(rateOf, side, many), against(p99Of, side, many)];
            const which = `${side}, ${many} ${many === 1 ? 'connection' : 'connections'}`;
            return [
              { text: `${which}: ${short(rate)} of the rate, at least ${leastRate}`, holds: rate >= leastRate },
              { text: `${which}: ${short(p99)} times the p99, at most ${mostP99}`, holds: p99 <= mostP99 },
            ];
          }),
        ),
      notes: () => [
        'The rates above are geometric means over 1, 16 and 64 connections.',
        ...connections.map((many) => {
          const figures = sides.map((side) => {
            const rate = short(over(rateOf, side, many));
            const [p50, p99] = [over(({ p50 }) => p50, side, many), over(p99Of, side, many)];
            return `${side} ${rate}/s, p50 ${p50.toFixed(3)} ms, p99 ${p99.toFixed(3)} ms`;
          });
          return `${many} ${many === 1 ? 'connection' : 'connections'}: ${figures.join('; ')}.`;
        }),
      ],
    };
  },
};

function requestOf(port: number, path: string, header: string): string {
  return `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n${header}\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n`;
}
