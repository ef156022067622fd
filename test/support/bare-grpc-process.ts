/**
 * What grpc-js does by itself, as a process of its own: mutual TLS 1.3 without tickets, and one constant answer. It asks nobody
 * who calls. Told its certificate over Node's IPC channel; tells its port.
 */
import { constants } from 'node:crypto';
import { Server, ServerCredentials, type ServiceDefinition, type sendUnaryData } from '@grpc/grpc-js';
import { type GetAccessTokenResponse, loadTokenBroker } from '../../proto/load.ts';

/** What it is told. */
export interface BareGrpcCall {
  readonly privateKeyPem: string;
  readonly certificatePem: string;
  readonly bundlePem: readonly string[];
  readonly answer: GetAccessTokenResponse;
}

class MutualTls extends ServerCredentials {
  constructor({ privateKeyPem, certificatePem, bundlePem }: BareGrpcCall) {
    super(
      { requestCert: true, rejectUnauthorized: true, minVersion: 'TLSv1.3' },
      {
        key: privateKeyPem,
        cert: certificatePem,
        ca: [...bundlePem],
        minVersion: 'TLSv1.3',
        secureOptions: constants.SSL_OP_NO_TICKET,
      },
    );
  }

  override _equals(other: ServerCredentials): boolean {
    return this === other;
  }
}

process.once('message', (told: BareGrpcCall) => {
  const server = new Server({ 'grpc.enable_channelz': 0 });
  server.addService(loadTokenBroker() as unknown as ServiceDefinition, {
    GetAccessToken: (_call: unknown, reply: sendUnaryData<GetAccessTokenResponse>) => reply(null, told.answer),
  });
  server.bindAsync('127.0.0.1:0', new MutualTls(told), (error, port) => {
    if (error) throw error;
    process.send?.(port);
  });
});
process.on('disconnect', () => process.exit());
