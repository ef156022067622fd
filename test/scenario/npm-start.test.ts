/** What `npm start` does, on ports of its own: the story is told to its end, and nothing is left behind. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { chmod } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { freePort } from '../../stack/free-port.ts';
import { isListening } from '../support/loopback.ts';
import { until } from '../support/poll.ts';
import { atEnd, useFolder } from '../support/scope.ts';

const main = join(import.meta.dirname, '../../demo/main.ts');

interface Demo {
  readonly child: ChildProcess;
  readonly ports: readonly number[];
  /** Where its parts keep their files. */
  readonly folder: string;
  said(): string;
  /** Resolves with the exit code. */
  ended(): Promise<number | null>;
}

/** Four in a row that nothing listens on: other test files have servers of their own meanwhile. */
async function freePorts(): Promise<readonly number[]> {
  for (;;) {
    const first = await freePort();
    const ports = [first, first + 1, first + 2, first + 3];
    const taken = await Promise.all(ports.map(isListening));
    if (!taken.includes(true)) return ports;
  }
}

async function startDemo(t: TestContext, ...flags: string[]): Promise<Demo> {
  const ports = await freePorts();
  const folder = await useFolder(t);
  // Reachable, not readable, by the account that PostgreSQL runs as.
  await chmod(folder, 0o711);
  const env = { ...process.env, TMPDIR: folder, DEMO_PORT: String(ports[0]), NO_COLOR: '1' };
  const child = spawn(process.execPath, [main, ...flags], { env, stdio: ['ignore', 'pipe', 'pipe'] });
  atEnd(t, () => void child.kill('SIGKILL'));
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (output += chunk.toString()));
  const exit = once(child, 'close') as Promise<[number | null]>;
  return {
    child,
    folder,
    ports,
    said: () => output,
    ended: async () => (await exit)[0],
  };
}

async function assertNothingLeft({ ports, folder }: Demo): Promise<void> {
  for (const port of ports) assert.equal(await isListening(port), false, `port ${port} is still open`);
  assert.deepEqual(readdirSync(folder), [], 'files are left');
  const running = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && existsSync(`/proc/${name}/cmdline`))
    .filter((pid) => commandLine(pid).includes(folder));
  assert.deepEqual(running, [], 'a process is still running');
}

function commandLine(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8');
  } catch {
    return '';
  }
}

test('it tells the whole way in plain words, ends well when asked to, and leaves nothing behind', async (t) => {
  const demo = await startDemo(t, '--once');
  assert.equal(await demo.ended(), 0, demo.said());
  for (const words of [
    /\$ broker vault bootstrap/,
    /\$ broker channel add north-studio/,
    /North Studio is connected/,
    /vault:v1:/,
    /It uploaded 30 bytes/,
    /That was the whole way/,
  ]) {
    assert.match(demo.said(), words);
  }
  await assertNothingLeft(demo);
});

test('it stays up and serves until Ctrl-C, which leaves nothing behind', async (t) => {
  const demo = await startDemo(t);
  await until('the story is told', () => demo.said().includes('Ctrl-C stops everything'));
  const line = /curl -s -H 'X-Sidecar-Request: true' (?:\\\s+)?(http\S+)/.exec(demo.said())?.[1] ?? '';
  const response = await fetch(line, { headers: { 'X-Sidecar-Request': 'true' } });
  assert.match(((await response.json()) as { access_token: string }).access_token, /^ya29\./);
  const link = /^ +(http:\/\/localhost\S+\/consent\/\S+)$/m.exec(demo.said())?.[1] ?? '';
  assert.equal((await fetch(link)).status, 200);

  demo.child.kill('SIGINT');
  assert.equal(await demo.ended(), 0, demo.said());
  await assertNothingLeft(demo);
});

for (const [moment, words] of [
  ['while its parts start', 'The real parts start'],
  ['in the middle of the story', '$ broker tenant create'],
] as const) {
  test(`Ctrl-C ${moment} stops all that has been started`, async (t) => {
    const demo = await startDemo(t);
    await until('it is there', () => demo.said().includes(words));
    demo.child.kill('SIGINT');
    assert.equal(await demo.ended(), 0, demo.said());
    await assertNothingLeft(demo);
  });
}

test('a port that is taken is named, with what to do', async (t) => {
  const other = createServer();
  const port = await freePort();
  other.listen(port, '127.0.0.1');
  await once(other, 'listening');
  atEnd(t, () => void other.close());
  const env = { ...process.env, DEMO_PORT: String(port) };
  const child = spawn(process.execPath, [main, '--once'], { env, stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  child.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()));
  const [code] = (await once(child, 'close')) as [number];
  assert.equal(code, 1);
  assert.match(said, new RegExp(`Port ${port} is taken by another program\\.\\nStop that program`));
});
