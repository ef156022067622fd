/** How the local servers listen: the Unix socket's file, and what is no request that anybody could answer. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { link, lstat, readFile, rename, stat, writeFile } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { type TestContext, test } from 'node:test';
import { answerError } from '../../sidecar/endpoints/gce-metadata.ts';
import { listen } from '../../sidecar/endpoints/listen.ts';
import { useLocalServer } from '../support/local-server.ts';
import { requires } from '../support/requires.ts';
import { useFolder } from '../support/scope.ts';

const PATH = '/v1/channels/ch_1/token';

async function useSocket(t: TestContext, change: { mode?: number; group?: string } = {}) {
  const path = join(await useFolder(t), 'sidecar.sock');
  const socket = { path, mode: 0o660, group: undefined, ...change };
  return { path, start: () => useLocalServer(t, { socket }) };
}

test('serves the native interface on a Unix socket, to whom its mode lets in', async (t) => {
  const { path, start } = await useSocket(t, { mode: 0o600 });
  const { send, flush, lines, counted } = await start();
  assert.equal((await stat(path)).mode & 0o777, 0o600);
  const headers = { Host: 'localhost' };
  assert.equal((await send(PATH, { socketPath: path, headers })).status, 200);
  assert.equal((await send(PATH, { socketPath: path, headers: { Host: 'evil.example' } })).status, 403);
  flush();
  const { caller, uid } = JSON.parse(lines[0] ?? '{}') as { caller?: string; uid?: number };
  assert.deepEqual([caller, uid], ['socket', undefined]);
  assert.ok(!counted.includes('unknown peer'), 'there is nobody to look for');
});

test('gives the socket its group, by number and by name', requires('root'), async (t) => {
  const [, name = '', , gid = ''] =
    /^((?!root)[a-z]+):([^:]*):(\d+):/m.exec(await readFile('/etc/group', 'utf8')) ?? [];
  for (const group of [gid, name]) {
    const { path, start } = await useSocket(t, { group });
    await start();
    const { gid: ours, mode } = await stat(path);
    assert.deepEqual([ours, mode & 0o777], [Number(gid), 0o660]);
  }
  const { start } = await useSocket(t, { group: 'no-such-group' });
  await assert.rejects(start(), /there is no group no-such-group/);
});

test('takes the place of a socket that a killed sidecar has left', async (t) => {
  const { path, start } = await useSocket(t);
  const former = createServer();
  // What a kill leaves: the file, and nobody behind it.
  former.listen(path);
  await once(former, 'listening');
  const left = `${path}.left`;
  await link(path, left);
  former.close();
  await once(former, 'close');
  await rename(left, path);
  assert.ok((await lstat(path)).isSocket());
  const { send } = await start();
  assert.equal((await send(PATH, { socketPath: path, headers: { Host: 'localhost' } })).status, 200);
});

test('touches neither a file that is no socket nor a socket that somebody listens on', async (t) => {
  const file = await useSocket(t);
  await writeFile(file.path, 'precious');
  await assert.rejects(file.start(), /cannot listen on .*sidecar\.sock: there is something that is no socket/);
  assert.equal(await readFile(file.path, 'utf8'), 'precious');

  const taken = await useSocket(t);
  const other = createServer();
  other.listen(taken.path);
  await once(other, 'listening');
  t.after(() => new Promise((resolve) => other.close(resolve)));
  await assert.rejects(taken.start(), /another program listens there/);
  assert.ok((await lstat(taken.path)).isSocket());
});

test('says where the folder of the socket is missing', async (t) => {
  const folder = await useFolder(t);
  const start = (path: string) => useLocalServer(t, { socket: { path, mode: 0o660, group: undefined } });
  await assert.rejects(start(join(folder, 'missing', 'sidecar.sock')), /cannot listen on .*missing/);
});

/** What a server answers to these bytes. */
async function answerTo(port: number, bytes: string): Promise<string> {
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => {});
  socket.write(bytes);
  return text(socket).catch(() => 'reset');
}

test('answers with the headers of a metadata server also to what is no HTTP, or too much of it', async (t) => {
  const { url, close } = await listen({ host: '127.0.0.1', port: 0 }, () => () => assert.fail('it is no request'), {
    answerError,
  });
  t.after(close);
  const port = Number(new URL(url).port);
  for (const [bytes, status] of [
    ['nonsense\r\n\r\n', 400],
    [`GET / HTTP/1.1\r\nHost: a\r\nX: ${'x'.repeat(9_000)}\r\n\r\n`, 400],
    ['CONNECT www.googleapis.com:443 HTTP/1.1\r\nHost: www.googleapis.com:443\r\n\r\n', 405],
  ] as const) {
    const answer = await answerTo(port, bytes);
    assert.match(answer, new RegExp(`^HTTP/1\\.1 ${status} `));
    assert.match(answer, /^Metadata-Flavor: Google\r$/m);
    assert.match(answer, /^Connection: close\r$/m);
  }
});

test('sees each header however many there are, and one that must be refused behind a thousand others', async (t) => {
  const { port } = await useLocalServer(t);
  const many = Array.from({ length: 1_100 }, () => 'a:\r\n').join('');
  const request = `GET ${PATH} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nX-Sidecar-Request: true\r\n${many}Via: 1.1 proxy\r\nConnection: close\r\n\r\n`;
  assert.match(await answerTo(port, request), /^HTTP\/1\.1 403 .*FORWARDED_REFUSED/s);
});

test('takes Expect for a header like others, and no body where none belongs', async (t) => {
  const { port } = await useLocalServer(t);
  const head = `HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nX-Sidecar-Request: true\r\nConnection: close\r\n`;
  assert.match(await answerTo(port, `GET ${PATH} ${head}Expect: 100-continue\r\n\r\n`), /HTTP\/1\.1 200 /);
  assert.match(await answerTo(port, `GET ${PATH} ${head}Content-Length: 5\r\n\r\nhello`), /^HTTP\/1\.1 413 /);
});

test('closes a connection whose request does not come to its end, and one that asks nothing', async (t) => {
  const { port } = await useLocalServer(t);
  const begun = connect(port, '127.0.0.1');
  begun.write('GET / HTTP/1.1\r\nHost:');
  const silent = connect(port, '127.0.0.1');
  const ended = Promise.all([begun, silent].map((socket) => once(socket.on('error', () => {}).resume(), 'close')));
  await ended;
});
