/**
 * What a sidecar holds resident with 1, 100 and 1,000 channels, each with a token that is kept fresh and subscribed to,
 * against a Node.js process that has loaded gRPC and does nothing: what a program on this runtime begins with.
 */
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { setTimeout as timer } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Secret } from '../../broker/domain/secret.ts';
import { usageOf } from '../support/broker-process.ts';
import { atEnd, type Scope } from '../support/scope.ts';
import { isReady, readToken, sidecarEnvironment } from '../support/sidecar.ts';
import { startSidecarProcess } from '../support/sidecar-cli.ts';
import { tokenFor, useTokenServer } from '../support/token-server.ts';
import { useSetUpVault } from '../support/vault-set-up.ts';
import type { Bench } from './harness/bench.ts';

const sizes = [1, 100, 1_000] as const;
/** The collector and the libraries have come to rest by then. */
const settleMs = 3_000;
/** As long as Google's are. */
const tokenBytes = 160;

interface Seen {
  readonly bareMib: number;
  readonly sidecarMib: readonly number[];
}

export const bench: Bench = {
  title: `A sidecar with ${sizes.at(-1)?.toLocaleString('en')} channels, resident size, against a bare Node.js process with grpc-js loaded.`,
  unit: 'times the bare process',
  // Below the limit of 256 MiB that the manifest in docs/sidecar-operations.md gives it.
  goal: 4,
  rounds: 3,
  async prepare(scope, tell) {
    const vault = await useSetUpVault(scope);
    const broker = await useTokenServer(scope, vault);
    broker.answer(() => ({
      ...tokenFor(3_600),
      accessToken: new Secret(`ya29.${randomBytes(tokenBytes).toString('base64url')}`),
    }));
    const environment = await sidecarEnvironment(scope, { vault, broker: broker.address });
    const seen: Seen[] = [];

    return {
      name: 'resident size',
      async run(round) {
        const bareMib = await bare(scope);
        const sidecar = startSidecarProcess(scope, environment, ['run']);
        const { url = '', operationsUrl = '' } = await sidecar.listening;
        await isReady({ operationsUrl });
        const sidecarMib: number[] = [];
        for (const [index, channels] of sizes.entries()) {
          tell(`round ${round}: ${channels} channels`);
          for (let channel = sizes[index - 1] ?? 0; channel < channels; channel += 1) {
            const { status } = await readToken({ url }, `ch_${channel}`);
            if (status !== 200) throw new Error(`the sidecar answered ${status}`);
          }
          await timer(settleMs);
          sidecarMib.push(usageOf(sidecar.child.pid ?? 0).memoryMib);
        }
        sidecar.child.kill('SIGTERM');
        await sidecar.ended;
        if (round > 0) seen.push({ bareMib, sidecarMib });
        return (sidecarMib.at(-1) ?? 0) / bareMib;
      },
      conditions: () => {
        const growth = seen.map(({ sidecarMib: [one = 0, , many = 0] }) => many - one).sort((a, b) => a - b);
        const median = growth[Math.floor(growth.length / 2)] ?? 0;
        return [
          { text: `1,000 channels need ${median.toFixed(1)} MiB more than one, at most 96`, holds: median <= 96 },
        ];
      },
      notes: () => [
        ...seen.map(
          ({ bareMib, sidecarMib }) =>
            `bare ${bareMib.toFixed(0)} MiB; sidecar ${sizes.map((size, index) => `${sidecarMib[index]?.toFixed(0)} MiB with ${size}`).join(', ')}.`,
        ),
        'The sidecar runs from its TypeScript sources: what strips their types is about 25 MiB of it, unless NODE_COMPILE_CACHE names a folder. What grows with the channels is mostly room for short-lived objects, which the runtime gives back late.',
      ],
    };
  },
};

/** Resident size of a process that has loaded gRPC and waits. */
async function bare(scope: Scope): Promise<number> {
  const grpc = fileURLToPath(import.meta.resolve('@grpc/grpc-js'));
  const text = `require(${JSON.stringify(grpc)}); console.log('loaded'); setInterval(() => {}, 60_000);`;
  const child = spawn(process.execPath, ['-e', text], { stdio: ['ignore', 'pipe', 'inherit'] });
  const exited = once(child, 'exit');
  atEnd(scope, () => void child.kill('SIGKILL'));
  await once(child.stdout, 'data');
  await timer(settleMs);
  const { memoryMib } = usageOf(child.pid ?? 0);
  child.kill('SIGKILL');
  await exited;
  return memoryMib;
}
