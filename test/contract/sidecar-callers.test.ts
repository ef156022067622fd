/** The sidecar's own interface over real sockets: whom the kernel says it talks to, and what it makes of that. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { hash } from 'node:crypto';
import { realpathSync } from 'node:fs';
import { Agent } from 'node:http';
import { connect, type Socket } from 'node:net';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import { sidecarError } from '../../sidecar/errors.ts';
import { useLocalServer } from '../support/local-server.ts';
import { until } from '../support/poll.ts';
import { requires } from '../support/requires.ts';

const PATH = '/v1/channels/ch_1/token';
const own = process.getuid?.() ?? 0;
const exe = realpathSync(process.execPath);
const codeOf = (body: string) => (JSON.parse(body) as { error: { code: string } }).error.code;

/** A program that asks once, as this user, and prints what it was answered. */
async function askAs(uid: number, port: number): Promise<{ status: number; body: string }> {
  const program = `fetch('http://127.0.0.1:${port}${PATH}', { headers: { 'X-Sidecar-Request': 'true' } })
    .then(async (answer) => console.log(JSON.stringify({ status: answer.status, body: await answer.text() })))`;
  const child = spawn(process.execPath, ['-e', program], {
    uid,
    gid: uid,
    env: {},
    cwd: '/',
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  return JSON.parse(await text(child.stdout)) as { status: number; body: string };
}

test('gives a token to its own user, and writes down who got it, without the token', async (t) => {
  const { send, flush, lines, counted } = await useLocalServer(t);
  const { status, body } = await send(PATH, { headers: { 'User-Agent': 'python-requests/2.32' } });
  assert.equal(status, 200);
  flush();
  const [line = '{}'] = lines;
  const { time, pid, exe: _exe, cgroup: _cgroup, expiresAt, ...facts } = JSON.parse(line);
  assert.ok(!line.includes('ya29.local'));
  assert.ok(Number.isFinite(Date.parse(time)) && Date.parse(expiresAt) > Date.now());
  assert.ok(pid === undefined || pid === process.pid);
  assert.deepEqual(facts, {
    level: 'info',
    service: 'sidecar',
    interface: 'native',
    channel: 'ch_1',
    uid: own,
    scopes: ['upload'],
    accessToken: hash('sha256', 'ya29.local', 'hex').slice(0, 16),
    msg: 'access token released',
  });
  assert.deepEqual(counted, ['attested', 'native ok python broker']);
  assert.equal((JSON.parse(body) as { channel_id: string }).channel_id, 'ch_1');
});

test(
  'refuses another user, tells him the number to have allowed, and asks the broker nothing',
  requires('root'),
  async (t) => {
    const { port, calls, counted, logged } = await useLocalServer(t);
    for (let times = 0; times < 2; times += 1) {
      const { status, body } = await askAs(65_534, port);
      assert.deepEqual([status, codeOf(body)], [403, 'CALLER_REFUSED']);
      assert.match(body, /It calls as uid 65534/);
    }
    assert.deepEqual(calls, []);
    assert.ok(counted.includes('native CALLER_REFUSED node none'));
    assert.equal(logged.filter(({ message }) => message === 'a local caller was refused').length, 1);
  },
);

test('gives each channel to those who are listed for it', requires('root'), async (t) => {
  const { port, send } = await useLocalServer(t, { allowed: 'ch_1=uid:65534,*=self' });
  assert.equal((await askAs(65_534, port)).status, 200);
  assert.equal((await send(PATH)).status, 403, 'root is not in the list');
  assert.equal((await send('/v1/channels/ch_2/token')).status, 200);
  const { body } = await send('/v1/channels');
  assert.deepEqual(
    (JSON.parse(body) as { channels: { channel_id: string }[] }).channels.map(({ channel_id }) => channel_id),
    ['ch_2'],
  );
});

test('knows the program behind a connection, and lets in the one that is listed', async (t) => {
  const [right, wrong] = [
    await useLocalServer(t, { allowed: `*=self+exe:${exe}` }),
    await useLocalServer(t, { allowed: '*=self+exe:/usr/bin/curl' }),
  ];
  assert.equal((await right.send(PATH)).status, 200);
  const { status, body } = await wrong.send(PATH);
  assert.deepEqual([status, codeOf(body)], [403, 'CALLER_REFUSED']);
  assert.ok(body.includes(exe));
});

test('knows a program with an IPv6 socket, as those in Java are', async (t) => {
  const { port, counted } = await useLocalServer(t);
  const socket = connect(port, '::ffff:127.0.0.1');
  socket.write(
    `GET ${PATH} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nX-Sidecar-Request: true\r\nConnection: close\r\n\r\n`,
  );
  assert.match(await text(socket), /^HTTP\/1\.1 200 /);
  assert.deepEqual(counted, ['attested', 'native ok other broker']);
});

test('takes a caller who sends and goes at once for nobody, and not for root', requires('root'), async (t) => {
  const { port, counted } = await useLocalServer(t, { allowed: '*=uid:0' });
  const program = `const { connect } = require('node:net');
    for (let times = 0; times < 30; times += 1) {
      const socket = connect(${port}, '127.0.0.1', () => {
        socket.write('GET ${PATH} HTTP/1.1\\r\\nHost: 127.0.0.1:${port}\\r\\nX-Sidecar-Request: true\\r\\n\\r\\n');
        socket.destroySoon();
      });
    }`;
  spawn(process.execPath, ['-e', program], { uid: 65_534, gid: 65_534, env: {}, cwd: '/', stdio: 'inherit' });
  const answered = () => counted.filter((each) => each.startsWith('native '));
  await until('all were answered', () => answered().length === 30);
  assert.ok(answered().every((each) => /^native CALLER_(REFUSED|UNKNOWN) other none$/.test(each)));
});

test('looks up a connection once, however many requests come by it', async (t) => {
  const { send, counted, calls } = await useLocalServer(t);
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  t.after(() => agent.destroy());
  for (let times = 0; times < 5; times += 1) assert.equal((await send(PATH, { agent })).status, 200);
  assert.equal(counted.filter((each) => each === 'attested').length, 1);
  assert.equal(calls.length, 1);
});

test('answers 429 to a caller who has run wild, on all his connections', async (t) => {
  const { send, counted } = await useLocalServer(t, { requestsPerSecond: 1 });
  const answers = await Promise.all(Array.from({ length: 12 }, () => send(PATH)));
  const refused = answers.filter(({ status }) => status === 429);
  assert.ok(refused.length >= 1);
  for (const { headers, body } of refused)
    assert.deepEqual([codeOf(body), headers['retry-after']], ['TOO_MANY_REQUESTS', '1']);
  assert.ok(counted.includes('native TOO_MANY_REQUESTS other none'));
});

test('leaves a user no more than a part of all connections', async (t) => {
  const { port } = await useLocalServer(t);
  const sockets: Socket[] = [];
  let closed = 0;
  t.after(() => {
    for (const socket of sockets) socket.destroy();
  });
  for (let made = 0; made < 300; made += 1) {
    const socket = connect(port, '127.0.0.1');
    socket.on('error', () => {}).on('close', () => (closed += 1));
    sockets.push(socket);
  }
  await until('those above the limit are closed', () => closed >= 44);
});

test('marks a token that the broker cannot replace, in the answer, in a header and for the metrics', async (t) => {
  const { send, answers, counted, lines, flush } = await useLocalServer(t);
  const soon = Date.now() + 120_000;
  answers((channelId) => ({
    channelId,
    accessToken: 'ya29.short',
    expiresAt: soon,
    scopes: ['upload'],
    youtubeChannelId: 'UC1',
    generation: 1,
  }));
  assert.equal((await send(PATH)).headers['x-sidecar-stale'], undefined);
  answers(() => {
    throw sidecarError('BROKER_UNREACHABLE');
  });
  await until('the broker is asked again', async () => (await send(PATH)).headers['x-sidecar-stale'] !== undefined);
  const { status, headers, body } = await send(PATH);
  assert.deepEqual([status, headers['x-sidecar-stale']], [200, 'BROKER_UNREACHABLE']);
  assert.equal((JSON.parse(body) as { stale: string }).stale, 'BROKER_UNREACHABLE');
  assert.ok(counted.includes('native ok other stale'));
  flush();
  assert.ok(lines.some((line) => line.includes('"stale":"BROKER_UNREACHABLE"')));
});

test('lists what is served, without a token', async (t) => {
  const { send, gceUrls, credentialFiles, answers } = await useLocalServer(t);
  gceUrls.set('ch_1', 'http://127.0.0.1:7072');
  credentialFiles.set('ch_2', '/run/sidecar/ch_2.json');
  await send(PATH);
  answers(() => {
    throw sidecarError('SCOPE_NOT_GRANTED');
  });
  const { body, headers } = await send('/v1/channels');
  assert.equal(headers['cache-control'], 'no-store');
  assert.ok(!body.includes('ya29'));
  const [first, second] = (JSON.parse(body) as { channels: Record<string, unknown>[] }).channels;
  assert.deepEqual([first?.channel_id, first?.gce_metadata_host], ['ch_1', '127.0.0.1:7072']);
  assert.deepEqual((first?.token as { scopes: string[] } | undefined)?.scopes, ['upload']);
  assert.deepEqual(second, { channel_id: 'ch_2', credential_file: '/run/sidecar/ch_2.json' });
});
