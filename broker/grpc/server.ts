/** The gRPC server that sidecars call: mutual TLS, health service, small messages, connections that do not live for ever. */
import { Server, type ServiceDefinition } from '@grpc/grpc-js';
import { HealthImplementation } from 'grpc-health-check';
import { loadTokenBroker } from '../../proto/load.ts';
import type { BrokerIdentity } from './broker-identity.ts';
import { MutualTlsCredentials } from './server-credentials.ts';
import type { createTokenService } from './token-service.ts';

export interface GrpcServer {
  readonly port: number;
  rotate(identity: BrokerIdentity): void;
  /** Lets running calls end, then closes; cuts them after `graceMs`. */
  stop(graceMs: number): Promise<void>;
}

const options = {
  'grpc.max_connection_age_ms': 15 * 60_000,
  'grpc.max_connection_age_grace_ms': 30_000,
  'grpc.max_concurrent_streams': 128,
  'grpc.max_receive_message_length': 64 * 1024,
  'grpc.keepalive_time_ms': 30_000,
  'grpc.keepalive_timeout_ms': 10_000,
  // Its bookkeeping is known to leak on busy servers, and nobody reads it.
  'grpc.enable_channelz': 0,
};

export async function startGrpcServer(deps: {
  listen: { readonly host: string; readonly port: number };
  identity: BrokerIdentity;
  tokenService: Partial<ReturnType<typeof createTokenService>>;
}): Promise<GrpcServer> {
  const server = new Server(options);
  // The definition's messages are typed in proto/load.ts; gRPC's own type knows them only as objects.
  server.addService(loadTokenBroker() as unknown as ServiceDefinition, { ...deps.tokenService });
  const health = new HealthImplementation({ '': 'SERVING', 'token_broker.v1.TokenBroker': 'SERVING' });
  health.addToServer(server);
  const credentials = new MutualTlsCredentials(deps.identity);
  const port = await bind(server, deps.listen, credentials);

  return {
    port,
    rotate: (identity) => credentials.rotate(identity),
    async stop(graceMs) {
      health.setStatus('', 'NOT_SERVING');
      const cut = setTimeout(() => server.forceShutdown(), graceMs);
      await new Promise<void>((resolve) => server.tryShutdown(() => resolve()));
      clearTimeout(cut);
    },
  };
}

function bind(server: Server, { host, port }: { host: string; port: number }, credentials: MutualTlsCredentials) {
  const address = host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
  return new Promise<number>((resolve, reject) => {
    server.bindAsync(address, credentials, (error, bound) => (error ? reject(error) : resolve(bound)));
  });
}
