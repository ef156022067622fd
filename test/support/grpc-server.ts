/**
 * The broker's gRPC server over certificates of a test's own authority, which may be wrong in every way, and without Vault: for
 * clients that mean no good, and those that have to be served meanwhile.
 */
import { type ClientHttp2Session, connect as connectHttp2 } from 'node:http2';
import { type ConnectionOptions, connect as connectTls, type TLSSocket } from 'node:tls';
import { createIdentifyPeer } from '../../broker/grpc/peer.ts';
import { createPeerCertificates } from '../../broker/grpc/peer-certificate.ts';
import { startGrpcServer, usualLimits } from '../../broker/grpc/server.ts';
import { createTokenService } from '../../broker/grpc/token-service.ts';
import { parseSpiffeId } from '../../identity/spiffe-id.ts';
import { createBrokerConnector } from '../../sidecar/broker-connection.ts';
import { type CertificateWish, createAuthority, goodSvid, type TestCertificate } from './certificates.ts';
import { atEnd, type Scope } from './scope.ts';
import { createTestShutOut, type TestShutOut } from './shut-out.ts';
import { tokenFor } from './token-server.ts';

const trustDomain = 'media.example';
export const workloadId = `spiffe://${trustDomain}/workload/uploads`;
const brokerId = `spiffe://${trustDomain}/broker`;

export interface TestGrpcServer {
  readonly port: number;
  readonly authority: TestCertificate;
  readonly shutOut: TestShutOut;
  /** Has calls wait for their token until the function that it answers is called. */
  hold(): () => void;
  /** How many calls have been let in. */
  readonly calls: () => number;
  /** Why connections came to nothing, in order. */
  readonly refused: readonly string[];
  /** Why calls were refused: what goes on record. */
  readonly denied: readonly string[];
  readonly connections: () => { readonly unproven: number; readonly proven: number };
  /** A certificate as it should be, but for what is wished. */
  certificate(wish?: CertificateWish, uri?: string): Promise<TestCertificate>;
  /** A connection of a sidecar with this certificate; it makes it at the first call. */
  client(certificate: TestCertificate): { call(): Promise<unknown>; close(): void };
  /** A TLS connection by hand. Its errors are not thrown. */
  tls(certificate: TestCertificate | undefined, options?: ConnectionOptions): TLSSocket;
  /** An HTTP/2 session by hand. */
  http2(certificate: TestCertificate): ClientHttp2Session;
}

export async function useGrpcServer(
  scope: Scope,
  limits: Partial<typeof usualLimits | Record<keyof typeof usualLimits, number>> = {},
): Promise<TestGrpcServer> {
  const authority = await createAuthority();
  const own = await authority.issue(goodSvid(brokerId));
  const shutOut = createTestShutOut();
  const certificates = createPeerCertificates();
  let calls = 0;
  let held = Promise.resolve();
  const refused: string[] = [];
  const denied: string[] = [];
  const clock = { now: () => new Date() };
  const identifyPeer = createIdentifyPeer({ certificates, shutOut, trustDomain, clock, newRequestId: () => 'test' });
  const server = await startGrpcServer({
    listen: { host: '127.0.0.1', port: 0 },
    identity: {
      privateKeyPem: own.privateKeyPem,
      certificateChainPem: own.certificatePem,
      bundlePem: [authority.certificatePem],
      notBefore: new Date(),
      notAfter: new Date(),
    },
    certificates,
    identifyPeer,
    // A test that is about time sets it; all others are not to fail on a machine that has none.
    limits: { ...usualLimits, handshakeMs: 60_000, requestMs: 60_000, keepaliveMs: 300_000, ...limits },
    onRefused: (why) => void refused.push(why),
    tokenService: createTokenService({
      identifyPeer,
      async getAccessToken() {
        calls += 1;
        await held;
        return tokenFor(3_600);
      },
      watchChannels: {
        watch: (_caller, channels, watcher) => {
          watcher.update(channels.map((channel) => ({ channel, refusal: undefined, generation: 1 })));
          return { close: () => {} };
        },
      },
      shutOut,
      identityClock: clock,
      recordLogin: async () => {},
      recordDeniedIdentity: async ({ detail }) => void denied.push(detail),
      newRequestId: () => 'test',
      onAnswered: () => {},
      onSubscriptionEnded: () => {},
      onFault: (error) => {
        throw error;
      },
    }),
  });
  atEnd(scope, () => server.stop(0));
  const options = { host: '127.0.0.1', port: server.port, ca: authority.certificatePem, ALPNProtocols: ['h2'] };
  const keyOf = (certificate: TestCertificate | undefined) =>
    certificate ? { key: certificate.privateKeyPem, cert: certificate.certificatePem } : {};

  const tls: TestGrpcServer['tls'] = (certificate, more) => {
    const socket = connectTls({ ...options, ...keyOf(certificate), checkServerIdentity: () => undefined, ...more });
    socket.on('error', () => {});
    atEnd(scope, () => socket.destroy());
    return socket;
  };
  return {
    port: server.port,
    authority,
    shutOut,
    hold() {
      const { promise, resolve } = Promise.withResolvers<void>();
      held = promise;
      return resolve;
    },
    calls: () => calls,
    refused,
    denied,
    connections: server.connections,
    certificate: (wish, uri = workloadId) => authority.issue({ ...goodSvid(uri), ...wish }),
    client(certificate) {
      const connect = createBrokerConnector(`127.0.0.1:${server.port}`, parseSpiffeId(brokerId));
      const connection = connect({
        ...certificate,
        chainPem: [],
        bundlePem: [authority.certificatePem],
        spiffeId: parseSpiffeId(workloadId),
        serial: '',
        notAfter: new Date(Date.now() + 3_600_000),
      });
      atEnd(scope, () => connection.close());
      return {
        call: () => connection.getAccessToken({ channelId: 'ch_1' }, Date.now() + 20_000),
        close: connection.close,
      };
    },
    tls,
    http2(certificate) {
      const session = connectHttp2(`https://127.0.0.1:${server.port}`, { createConnection: () => tls(certificate) });
      session.on('error', () => {});
      atEnd(scope, () => session.destroy());
      return session;
    },
  };
}
