/**
 * The gRPC server that sidecars call: mutual TLS, health service, small messages, connections that do not live for ever, and
 * nothing that a slow or hostile client could make it keep.
 */
import { Server, ServerCredentials, type ServerOptions, type ServiceDefinition } from '@grpc/grpc-js';
import { HealthImplementation } from 'grpc-health-check';
import { loadTokenBroker } from '../../proto/load.ts';
import type { BrokerIdentity } from './broker-identity.ts';
import type { IdentifyPeer } from './peer.ts';
import type { PeerCertificates } from './peer-certificate.ts';
import { createRequestGuard } from './request-guard.ts';
import { startTlsListener, type TlsListener, type TlsListenerDeps } from './tls-listener.ts';
import type { createTokenService } from './token-service.ts';

export interface GrpcServer {
  readonly port: number;
  rotate(identity: BrokerIdentity): void;
  readonly connections: TlsListener['counts'];
  /** Lets running calls end, then closes; cuts them after `graceMs`. */
  stop(graceMs: number): Promise<void>;
}

/** No client of ours comes near these. */
export const usualLimits = {
  unproven: 1_024,
  unprovenOfAddress: 512,
  proven: 20_000,
  provenOfWorkload: 1_024,
  handshakeMs: 5_000,
  requestMs: 10_000,
  keepaliveMs: 30_000,
} as const;

/** How often connections are looked for whose client has lost the right to them. */
const sweepEveryMs = 5_000;

const options: ServerOptions = {
  'grpc.max_connection_age_ms': 15 * 60_000,
  'grpc.max_connection_age_grace_ms': 30_000,
  'grpc.max_concurrent_streams': 128,
  'grpc.max_receive_message_length': 64 * 1024,
  // In MB; grpc-js switches Node's own limit off.
  'grpc-node.max_session_memory': 32,
  // Its bookkeeping is known to leak on busy servers, and nobody reads it.
  'grpc.enable_channelz': 0,
};

export interface GrpcServerDeps {
  readonly listen: { readonly host: string; readonly port: number };
  readonly identity: BrokerIdentity;
  readonly certificates: PeerCertificates;
  readonly identifyPeer: IdentifyPeer;
  readonly tokenService: Partial<ReturnType<typeof createTokenService>>;
  readonly limits?: TlsListenerDeps['limits'] & {
    /** Within this time the request of a call has to come. */
    readonly requestMs: number;
    /** How often a client is asked whether it is still there. */
    readonly keepaliveMs: number;
  };
  readonly onRefused?: TlsListenerDeps['onRefused'];
  /** Whether a client has lost the right to its connection, on which it was told why. */
  readonly isOver?: Parameters<TlsListener['cut']>[0];
}

export async function startGrpcServer(deps: GrpcServerDeps): Promise<GrpcServer> {
  const { limits = usualLimits, onRefused = () => {}, isOver } = deps;
  const server = new Server({
    ...options,
    'grpc.keepalive_time_ms': limits.keepaliveMs,
    'grpc.keepalive_timeout_ms': limits.keepaliveMs / 3,
    interceptors: [createRequestGuard({ ...deps, ...limits, exceptFor: '/token_broker.v1.TokenBroker/' })],
  });
  // The definition's messages are typed in proto/load.ts; gRPC's own type knows them only as objects.
  server.addService(loadTokenBroker() as unknown as ServiceDefinition, { ...deps.tokenService });
  const health = new HealthImplementation({ '': 'SERVING', 'token_broker.v1.TokenBroker': 'SERVING' });
  health.addToServer(server);
  // "Insecure" is what it does itself: what it is given has been secured.
  const injector = server.createConnectionInjector(ServerCredentials.createInsecure());
  const listener = await startTlsListener({
    ...deps,
    limits,
    onRefused,
    onConnection: (socket) => injector.injectConnection(socket),
  });
  const sweeper = isOver && setInterval(() => listener.cut(isOver), sweepEveryMs).unref();

  return {
    port: listener.port,
    rotate: listener.rotate,
    connections: listener.counts,
    async stop(graceMs) {
      clearInterval(sweeper);
      health.setStatus('', 'NOT_SERVING');
      listener.stop();
      const cut = setTimeout(() => server.forceShutdown(), graceMs);
      await new Promise<void>((resolve) => server.tryShutdown(() => resolve()));
      clearTimeout(cut);
    },
  };
}
