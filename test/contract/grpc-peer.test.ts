/** Who calls is asked on every call: on real mTLS, with certificates of the real PKI. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type TestContext, test } from 'node:test';
import { connect, type TLSSocket } from 'node:tls';
import { startBrokerIdentity } from '../../broker/grpc/broker-identity.ts';
import { createIdentifyPeer } from '../../broker/grpc/peer.ts';
import { createPeerCertificates } from '../../broker/grpc/peer-certificate.ts';
import { startGrpcServer } from '../../broker/grpc/server.ts';
import { createTokenService } from '../../broker/grpc/token-service.ts';
import { createCertificateAuthority } from '../../broker/vault/server-certificate.ts';
import { parseSpiffeId } from '../../identity/spiffe-id.ts';
import { createKeyAndCsr } from '../../identity/svid.ts';
import { createBrokerConnector } from '../../sidecar/broker-connection.ts';
import { brokerSpiffeId, workloadSpiffeId } from '../../vault-policies/layout.ts';
import { addWorkload } from '../../vault-policies/workloads.ts';
import { atEnd } from '../support/scope.ts';
import { createTestShutOut } from '../support/shut-out.ts';
import { tokenFor } from '../support/token-server.ts';
import { useSetUpVault } from '../support/vault-set-up.ts';

const hour = 3_600_000;

/** The broker's gRPC server, whose clock can be moved, and an SVID of a workload. */
async function usePeer(t: TestContext, trustDomain?: string) {
  const vault = await useSetUpVault(t);
  const { mounts, trustDomain: ours } = vault.layout;
  let ahead = 0;
  const denied: string[] = [];
  const real = { now: () => new Date() };
  const authority = createCertificateAuthority({ vault: await vault.asBroker(), pki: mounts.pki });
  const identity = await startBrokerIdentity({
    authority,
    spiffeId: brokerSpiffeId(ours),
    pkiRole: 'broker',
    clock: real,
    randomFraction: Math.random,
    sleep: (_ms, signal) => once(signal, 'abort').then(() => undefined),
    onRotated: () => undefined,
    onFault: fail,
  });
  atEnd(t, identity.stop);
  const certificates = createPeerCertificates();
  const shutOut = createTestShutOut();
  const identifyPeer = createIdentifyPeer({
    certificates,
    shutOut,
    trustDomain: trustDomain ?? ours,
    clock: { now: () => new Date(Date.now() + ahead) },
    newRequestId: () => 'request',
  });
  const server = await startGrpcServer({
    listen: { host: '127.0.0.1', port: 0 },
    identity: identity.current(),
    certificates,
    identifyPeer,
    tokenService: createTokenService({
      shutOut,
      identifyPeer,
      getAccessToken: async () => tokenFor(3_600),
      watchChannels: {
        watch: () => {
          throw new Error('nobody subscribes here');
        },
      },
      identityClock: real,
      onSubscriptionEnded: () => undefined,
      recordLogin: async () => {},
      recordDeniedIdentity: async ({ detail, ip }) => void denied.push(`${ip}: ${detail}`),
      newRequestId: () => 'request',
      onAnswered: () => undefined,
      onFault: fail,
    }),
  });
  atEnd(t, () => server.stop(1_000));

  await addWorkload(vault.operator, vault.layout, 'uploads');
  const spiffeId = workloadSpiffeId(ours, 'uploads');
  const workload = createCertificateAuthority({ vault: await vault.asWorkload('uploads'), pki: mounts.pki });
  const { privateKeyPem, csrPem } = await createKeyAndCsr();
  const signed = await workload.signCertificate({ role: 'workload', csrPem, uriSan: spiffeId });
  const bundlePem = await authority.trustBundle();
  const open = createBrokerConnector(`127.0.0.1:${server.port}`, parseSpiffeId(brokerSpiffeId(ours)));
  const connection = open({
    ...signed,
    privateKeyPem,
    bundlePem,
    spiffeId: parseSpiffeId(spiffeId),
    serial: '',
    notAfter: new Date(Date.now() + 2 * hour),
  });
  atEnd(t, () => connection.close());
  return {
    call: () => connection.getAccessToken({ channelId: 'ch_1' }, Date.now() + 10_000),
    advance: (ms: number) => {
      ahead += ms;
    },
    denied,
    tls: { port: server.port, key: privateKeyPem, cert: signed.certificatePem, ca: [...bundlePem] },
  };
}

test('a certificate that ends is refused on a connection that stays open', async (t) => {
  const { call, advance, denied } = await usePeer(t);
  await call();
  advance(hour + 60_000);
  await assert.rejects(call(), { code: 'UNAUTHENTICATED' });
  assert.match(denied[0] ?? '', /certificate of spiffe:\/\/\S+ has expired/);
});

test('a workload of another trust domain is refused, and put on record', async (t) => {
  const { call, denied } = await usePeer(t, 'elsewhere.example');
  await assert.rejects(call(), { code: 'UNAUTHENTICATED' });
  assert.match(denied[0] ?? '', /^127\.0\.0\.1: .* another trust domain/, 'the source of a refusal has no port');
});

test('a session is never resumed: each connection proves its certificate anew', async (t) => {
  const { tls } = await usePeer(t);
  const options = { ...tls, host: '127.0.0.1', ALPNProtocols: ['h2'], checkServerIdentity: () => undefined };
  const first = connect(options);
  const sessions: Buffer[] = [];
  first.on('session', (session) => sessions.push(session));
  await secured(first);
  // TLS 1.3 sends tickets after the handshake: an answer of HTTP/2 comes after them.
  first.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
  first.write(Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]));
  await once(first, 'data');
  assert.equal(first.getProtocol(), 'TLSv1.3');
  first.destroy();

  assert.ok(sessions.length > 0, 'there is nothing to try again');
  for (const session of sessions) {
    const second = connect({ ...options, session });
    await secured(second);
    assert.equal(second.isSessionReused(), false);
    second.destroy();
  }
});

function fail(error: unknown): never {
  assert.fail(String(error));
}

async function secured(socket: TLSSocket): Promise<void> {
  await once(socket, 'secureConnect');
}
