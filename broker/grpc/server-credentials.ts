/**
 * TLS of the gRPC server: version 1.3 only, a client certificate always, the certificate replaceable while it runs, and
 * no session tickets: a ticket would let a client resume after its certificate has expired.
 */
import { constants } from 'node:crypto';
import type { SecureContextOptions } from 'node:tls';
import { ServerCredentials } from '@grpc/grpc-js';
import type { BrokerIdentity } from './broker-identity.ts';

export class MutualTlsCredentials extends ServerCredentials {
  constructor(identity: BrokerIdentity) {
    super({ requestCert: true, rejectUnauthorized: true, minVersion: 'TLSv1.3' }, contextOf(identity));
  }

  /** Shows the new certificate to every connection made from now on. */
  rotate(identity: BrokerIdentity): void {
    this.updateSecureContextOptions(contextOf(identity));
  }

  override _equals(other: ServerCredentials): boolean {
    return this === other;
  }
}

function contextOf(identity: BrokerIdentity): SecureContextOptions {
  return {
    key: identity.privateKeyPem,
    cert: identity.certificateChainPem,
    ca: [...identity.bundlePem],
    minVersion: 'TLSv1.3',
    secureOptions: constants.SSL_OP_NO_TICKET,
  };
}
