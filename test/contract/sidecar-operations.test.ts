/** What operators see of a sidecar and have it do: probes and metrics before the first login, its end, its admin socket. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { stat } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { freePort } from '../../stack/free-port.ts';
import { until } from '../support/poll.ts';
import { useFolder } from '../support/scope.ts';
import { isReady, readToken, sidecarEnvironment, useSidecar } from '../support/sidecar.ts';
import { runSidecarHere, runSidecarOnTerminal, startSidecarProcess } from '../support/sidecar-cli.ts';
import { tokenFor, useTokenServer } from '../support/token-server.ts';
import { useSetUpVault } from '../support/vault-set-up.ts';

const cleanUps: (() => Promise<void>)[] = [];
test.after(async () => {
  for (const clean of cleanUps.reverse()) await clean();
});
const file = { after: (clean: () => Promise<void>) => void cleanUps.push(clean) };
const vault = await useSetUpVault(file);

/** Status and body of an operations path. */
async function look(operationsUrl: string, path: string) {
  const answer = await fetch(`${operationsUrl}${path}`);
  return { status: answer.status, text: await answer.text() };
}

test('answers probes and metrics before the first login, and says yes only when it can serve', async (t) => {
  const broker = await useTokenServer(t, vault);
  broker.answer(() => tokenFor(3_600));
  const port = await freePort();
  const away = await useSidecar(t, {
    vault,
    broker: broker.address,
    settings: { VAULT_ADDR: `http://127.0.0.1:${port}` },
  });
  assert.equal((await look(away.operationsUrl, '/livez')).status, 200);
  assert.equal((await look(away.operationsUrl, '/readyz')).status, 503);
  assert.equal((await look(away.operationsUrl, '/startupz')).status, 503);
  await until('the failed login is counted', async () =>
    /^token_sidecar_vault_logins_total\{code="VAULT_UNREACHABLE"\} \d/m.test(
      (await look(away.operationsUrl, '/metrics')).text,
    ),
  );
  assert.doesNotMatch((await look(away.operationsUrl, '/metrics')).text, /^token_sidecar_svid_seconds_left/m);

  const sidecar = await useSidecar(t, { vault, broker: broker.address });
  await isReady(sidecar);
  assert.equal((await look(sidecar.operationsUrl, '/startupz')).status, 200);
  await readToken(sidecar, 'ch_a');
  await readToken(sidecar, 'ch_a');
  const { text } = await look(sidecar.operationsUrl, '/metrics');
  for (const line of [
    /^token_sidecar_vault_logins_total\{code="ok"\} 1$/m,
    /^token_sidecar_svid_rotations_total\{result="ok"\} 1$/m,
    /^token_sidecar_svid_seconds_left 3\d\d\d/m,
    /^token_sidecar_token_seconds_left\{channel="ch_a"\} 3[56]\d\d/m,
    /^token_sidecar_tokens_given_total\{from="broker"\} 1$/m,
    /^token_sidecar_tokens_given_total\{from="memory"\} 1$/m,
    /^token_sidecar_requests_total\{interface="native",code="ok",client="node"\} 2$/m,
    /^token_sidecar_broker_call_seconds_count\{code="ok"\} 1$/m,
  ])
    assert.match(text, line);
  assert.doesNotMatch(text, /ya29/);
});

test('has started for good when it was ready once, and is not ready where the broker has gone', async (t) => {
  const broker = await useTokenServer(t, vault);
  const sidecar = await useSidecar(t, { vault, broker: broker.address });
  await isReady(sidecar);
  await broker.stop();
  await until('readiness says no', async () => (await look(sidecar.operationsUrl, '/readyz')).status === 503);
  assert.equal((await look(sidecar.operationsUrl, '/startupz')).status, 200);
  assert.equal((await look(sidecar.operationsUrl, '/livez')).status, 200);
});

test('lets probes in by any name where it listens beyond loopback, and tokens by none', async (t) => {
  const broker = await useTokenServer(t, vault);
  const settings = { SIDECAR_OPERATIONS_LISTEN: '0.0.0.0:0' };
  const { operationsUrl, url } = await useSidecar(t, { vault, broker: broker.address, settings });
  const statusOf = async (of: string, path: string) => {
    const socket = connect(Number(new URL(of).port), '127.0.0.1');
    socket.end(`GET ${path} HTTP/1.1\r\nHost: 10.1.2.3:7071\r\nX-Sidecar-Request: true\r\nConnection: close\r\n\r\n`);
    const [first] = await once(socket, 'data');
    socket.destroy();
    return Number(String(first).split(' ')[1]);
  };
  assert.equal(await statusOf(operationsUrl, '/livez'), 200);
  assert.equal(await statusOf(url, '/v1/channels/ch_a/token'), 403);
});

test('drains at SIGTERM: not ready at once, what is on its way is answered, what is new is refused, the end is 0', async (t) => {
  const broker = await useTokenServer(t, vault);
  const gate = Promise.withResolvers<void>();
  broker.answer(async () => {
    await gate.promise;
    return tokenFor(3_600);
  });
  const child = startSidecarProcess(t, await sidecarEnvironment(t, { vault, broker: broker.address }), ['run']);
  const { url = '', operationsUrl = '' } = await child.listening;
  await isReady({ operationsUrl });
  const onItsWay = readToken({ url }, 'ch_a');
  await until('the broker is asked', () => broker.calls.length > 0);
  child.child.kill('SIGTERM');
  await until('readiness says no', async () => (await look(operationsUrl, '/readyz')).text.includes('STOPPING'));
  const refused = await readToken({ url }, 'ch_a');
  assert.deepEqual([refused.status, refused.body.error?.code], [503, 'STOPPING']);
  gate.resolve();
  assert.equal((await onItsWay).status, 200);
  assert.deepEqual(await child.ended, [0, null]);
});

test('stops by itself when the worker that it was told of has gone', async (t) => {
  const broker = await useTokenServer(t, vault);
  const environment = await sidecarEnvironment(t, { vault, broker: broker.address });
  const worker = startSidecarProcess(t, environment, ['run']);
  await worker.listening;
  const sidecar = startSidecarProcess(t, environment, ['run', '--exit-with', `pid:${worker.child.pid}`]);
  await sidecar.listening;
  worker.child.kill('SIGTERM');
  assert.deepEqual(await sidecar.ended, [0, null]);
  assert.ok(sidecar.lines.some((line) => line.includes('the worker has gone')));
});

test('an admin looks, rotates, drops tokens and has it stop, through a socket that is its owner’s alone', async (t) => {
  const broker = await useTokenServer(t, vault);
  broker.answer(() => tokenFor(3_600));
  const socket = join(await useFolder(t), 'admin.sock');
  const environment = await sidecarEnvironment(t, {
    vault,
    broker: broker.address,
    settings: { SIDECAR_ADMIN_SOCKET: socket },
  });
  const sidecar = startSidecarProcess(t, environment, ['run']);
  const { url = '', operationsUrl = '' } = await sidecar.listening;
  await isReady({ operationsUrl });
  assert.equal((await stat(socket)).mode & 0o777, 0o600);
  const admin = async (...words: string[]) => {
    const { exitCode, stdout, stderr } = await runSidecarHere(
      { SIDECAR_ADMIN_SOCKET: socket },
      'admin',
      ...words,
      '-o',
      'json',
    );
    assert.equal(exitCode, 0, stderr);
    return JSON.parse(stdout);
  };

  const { body } = await readToken({ url }, 'ch_a');
  const status = await admin('status');
  assert.equal(status.ready, true);
  assert.deepEqual(
    status.tokens.map(({ channel }: { channel: string }) => channel),
    ['ch_a'],
  );
  assert.ok(!JSON.stringify(status).includes(body.access_token ?? ''));

  assert.notEqual((await admin('rotate')).serial, status.certificate.serial);
  assert.deepEqual(await admin('drop', 'ch_other'), { dropped: 0 });
  assert.deepEqual(await admin('drop', 'ch_a'), { dropped: 1 });
  assert.notEqual((await readToken({ url }, 'ch_a')).body.access_token, body.access_token);

  assert.deepEqual(await admin('quit'), { stopping: true });
  assert.deepEqual(await sidecar.ended, [0, null]);
  const gone = await runSidecarHere({ SIDECAR_ADMIN_SOCKET: socket }, 'admin', 'status');
  assert.deepEqual([gone.exitCode, /\[SIDECAR_UNREACHABLE\]/.test(gone.stderr)], [3, true]);
});

test('an admin hears why no new certificate could be made', async (t) => {
  const broker = await useTokenServer(t, vault);
  const socket = join(await useFolder(t), 'admin.sock');
  const settings = { SIDECAR_ADMIN_SOCKET: socket, VAULT_ADDR: `http://127.0.0.1:${await freePort()}` };
  await useSidecar(t, { vault, broker: broker.address, settings });
  const { exitCode, stderr } = await runSidecarHere({ SIDECAR_ADMIN_SOCKET: socket }, 'admin', 'rotate');
  assert.equal(exitCode, 3);
  assert.match(stderr, /\[VAULT_UNREACHABLE\]\nhint: Check VAULT_ADDR/);
});

test('`sidecar token` gives a token to a program, and to a terminal only what kind of token it is', async (t) => {
  const broker = await useTokenServer(t, vault);
  const released = tokenFor(3_600);
  broker.answer(() => released);
  const sidecar = await useSidecar(t, { vault, broker: broker.address });
  await isReady(sidecar);
  const token = released.accessToken.reveal();
  const place = { TOKEN_SIDECAR_URL: sidecar.url, NO_COLOR: '1' };

  assert.equal((await runSidecarHere(place, 'token', 'ch_a')).stdout, `${token}\n`);
  assert.equal(JSON.parse((await runSidecarHere(place, 'token', 'ch_a', '-o', 'json')).stdout).access_token, token);
  for (const form of [[], ['-o', 'json']]) {
    const shown = await runSidecarOnTerminal(place, 'token', 'ch_a', ...form);
    assert.equal(shown.exitCode, 0);
    assert.match(shown.stdout, /upload/);
    assert.ok(!(shown.stdout + shown.stderr).includes(token));
    assert.ok((await runSidecarOnTerminal(place, 'token', 'ch_a', '--show', ...form)).stdout.includes(token));
  }
});

test('`sidecar token` says why there is none: refused 1, not now 3, nobody there 3', async (t) => {
  const broker = await useTokenServer(t, vault);
  broker.answer(() => tokenFor(3_600));
  const sidecar = await useSidecar(t, { vault, broker: broker.address });
  await isReady(sidecar);
  const place = { TOKEN_SIDECAR_URL: sidecar.url };
  const refused = await runSidecarHere(place, 'token', 'ch_a', '--scope', 'other');
  assert.deepEqual([refused.exitCode, refused.stdout], [1, '']);
  assert.match(refused.stderr, /^error: .*\[SCOPE_NOT_GRANTED\]\nhint: /);
  const short = await runSidecarHere(place, 'token', 'ch_a', '--min-ttl', '3300', '--scope', 'upload');
  assert.equal(short.exitCode, 0, short.stderr);
  broker.answer(() => tokenFor(600));
  const scarce = await runSidecarHere(place, 'token', 'ch_b', '--min-ttl', '3300');
  assert.deepEqual([scarce.exitCode, /\[LIFE_TOO_SHORT\]/.test(scarce.stderr)], [3, true]);
  const nobody = { TOKEN_SIDECAR_URL: `http://127.0.0.1:${await freePort()}` };
  assert.equal((await runSidecarHere(nobody, 'token', 'ch_a')).exitCode, 3);
  assert.equal((await runSidecarHere({ TOKEN_SIDECAR_URL: vault.address }, 'token', 'ch_a')).exitCode, 1);
});
