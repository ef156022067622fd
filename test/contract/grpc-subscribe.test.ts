/** A stream of Subscribe on real mTLS: who may hold one, for how long, and what a slow reader gets. */
import assert from 'node:assert/strict';
import { connect as connectHttp2, constants } from 'node:http2';
import { after, type TestContext, test } from 'node:test';
import { parseSpiffeId } from '../../identity/spiffe-id.ts';
import { loadTokenBroker } from '../../proto/load.ts';
import { createBrokerConnector } from '../../sidecar/broker-connection.ts';
import { createSvidIssuer, type WorkloadSvid } from '../../sidecar/svid-issuer.ts';
import { createAppRoleLogin, secretIdFrom } from '../../sidecar/vault/login/approle.ts';
import { createVaultRequest } from '../../sidecar/vault/request.ts';
import { brokerSpiffeId, workloadSpiffeId } from '../../vault-policies/layout.ts';
import { addWorkload } from '../../vault-policies/workloads.ts';
import { until } from '../support/poll.ts';
import { atEnd } from '../support/scope.ts';
import { useSubscription } from '../support/subscription.ts';
import { type TokenServerOptions, useTokenServer } from '../support/token-server.ts';
import { credentialFiles, useSetUpVault } from '../support/vault-set-up.ts';

const hour = 3_600_000;
const neverMs = 24 * hour;

const vault = await useSetUpVault({ after });
await addWorkload(vault.operator, vault.layout, 'uploads');

/** The broker's gRPC server, and a workload with a certificate of the real PKI. */
async function useStream(t: TestContext, options: TokenServerOptions = {}) {
  const denied: string[] = [];
  const broker = await useTokenServer(t, vault, { ...options, onDenied: (detail) => denied.push(detail) });
  const { trustDomain, mounts } = vault.layout;
  const request = createVaultRequest({ address: new URL(vault.address), namespace: undefined, caFile: undefined });
  const { roleIdFile, secretIdFile } = await credentialFiles(t, vault.operator, vault.layout, 'uploads');
  const svid = await createSvidIssuer({
    vault: request,
    login: createAppRoleLogin(request, { mount: mounts.approle, roleIdFile, secretId: secretIdFrom(secretIdFile) }),
    pkiMount: mounts.pki,
    pkiRole: 'workload',
    spiffeId: parseSpiffeId(workloadSpiffeId(trustDomain, 'uploads')),
    now: Date.now,
  })();
  const connect = createBrokerConnector(broker.address, parseSpiffeId(brokerSpiffeId(trustDomain)));
  const connection = connect(svid);
  atEnd(t, () => connection.close());
  return {
    broker,
    denied,
    svid,
    subscribe: (channels: readonly string[]) => useSubscription(t, connection.subscribe, channels),
  };
}

test('an open stream ends with the certificate that it was opened with, to the moment', async (t) => {
  let ahead = 0;
  const { subscribe, svid, broker, denied } = await useStream(t, {
    ahead: () => ahead,
    timing: { repeatEveryMs: neverMs },
  });
  // Time enough to open it, also on a busy machine.
  ahead = svid.notAfter.getTime() - Date.now() - 4_000;
  const stream = subscribe(['ch_1']);
  await stream.stands('ch_1', 'AVAILABLE 1');
  assert.equal((await stream.ended())?.code, 'UNAUTHENTICATED');
  assert.equal(broker.subscriptions.size, 0);
  assert.match(denied[0] ?? '', /has expired/);
});

test('the certificate is looked at again for every message', async (t) => {
  let ahead = 0;
  const { subscribe, broker } = await useStream(t, { ahead: () => ahead, timing: { repeatEveryMs: neverMs } });
  const stream = subscribe(['ch_1']);
  await stream.stands('ch_1', 'AVAILABLE 1');
  ahead = 2 * hour;
  broker.stand('ch_1', { generation: 2 });
  assert.equal((await stream.ended())?.code, 'UNAUTHENTICATED');
  assert.equal(stream.standing('ch_1'), 'AVAILABLE 1', 'nothing was told after the end');
});

test('a workload of another trust domain gets no stream, and is on record', async (t) => {
  const { subscribe, broker, denied } = await useStream(t, { trustDomain: 'elsewhere.example' });
  assert.equal((await subscribe(['ch_1']).ended())?.code, 'UNAUTHENTICATED');
  assert.equal(broker.subscriptions.size, 0);
  assert.match(denied[0] ?? '', /another trust domain/);
});

test('the state is told again and again although nothing changes', async (t) => {
  const { subscribe } = await useStream(t, { timing: { repeatEveryMs: 20 } });
  const stream = subscribe(['ch_1', 'ch_2']);
  await until('it was told five times', () => stream.messages.length >= 5);
  assert.ok(stream.messages.every((channels) => channels.length === 2));
});

test('a stream that its reader leaves is left by the broker', async (t) => {
  const { subscribe, broker } = await useStream(t);
  const stream = subscribe(['ch_1']);
  await stream.stands('ch_1', 'AVAILABLE 1');
  stream.cancel();
  await until('it is gone', () => broker.subscriptions.size === 0);
});

test('a reader that was slow gets the newest state, not each that there was', async (t) => {
  const { svid, broker } = await useStream(t, { timing: { repeatEveryMs: neverMs } });
  const slow = openSlowly(t, broker.address, svid, ['ch_1']);
  await until('the stream is open', () => broker.subscriptions.size === 1);
  for (let generation = 2; generation <= 500; generation += 1) {
    broker.stand('ch_1', { generation });
    await new Promise(setImmediate);
  }
  slow.read();
  await until('the newest is read', () => slow.messages().at(-1)?.channels[0]?.generation === 500);
  assert.ok(slow.messages().length <= 5, `${slow.messages().length} messages for 500 states`);
});

test('a reader that takes nothing is not kept', async (t) => {
  const { svid, broker } = await useStream(t, { timing: { repeatEveryMs: 10, takenWithinMs: 50 } });
  openSlowly(t, broker.address, svid, ['ch_1']);
  await until('the stream was open', () => broker.subscribed() === 1);
  await until('the stream is given up', () => broker.subscriptions.size === 0);
});

/** Subscribes by bare HTTP/2 with a window of one byte, so that hardly anything can be sent until `read`. */
function openSlowly(t: TestContext, address: string, svid: WorkloadSvid, channelIds: readonly string[]) {
  const { Subscribe } = loadTokenBroker();
  const session = connectHttp2(`https://${address}`, {
    ca: [...svid.bundlePem],
    cert: svid.certificatePem,
    key: svid.privateKeyPem,
    checkServerIdentity: () => undefined,
    settings: { initialWindowSize: 1 },
  });
  session.on('error', () => {});
  atEnd(t, () => session.destroy());
  const stream = session.request({
    ':method': 'POST',
    ':path': Subscribe.path,
    'content-type': 'application/grpc',
    te: 'trailers',
  });
  stream.on('error', () => {});
  const body = Subscribe.requestSerialize({ channelIds });
  stream.end(Buffer.concat([prefix(body.length), body]));
  const chunks: Buffer[] = [];
  return {
    read() {
      session.settings({ initialWindowSize: constants.DEFAULT_SETTINGS_INITIAL_WINDOW_SIZE });
      stream.on('data', (chunk: Buffer) => chunks.push(chunk));
    },
    messages() {
      const all = Buffer.concat(chunks);
      const found: ReturnType<typeof Subscribe.responseDeserialize>[] = [];
      for (let at = 0; at + 5 <= all.length; ) {
        const end = at + 5 + all.readUInt32BE(at + 1);
        if (end > all.length) break;
        found.push(Subscribe.responseDeserialize(all.subarray(at + 5, end)));
        at = end;
      }
      return found;
    },
  };
}

/** Of a message on the wire: not compressed, and its length. */
function prefix(length: number): Buffer {
  const bytes = Buffer.alloc(5);
  bytes.writeUInt32BE(length, 1);
  return bytes;
}
