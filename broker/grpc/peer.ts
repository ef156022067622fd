/**
 * Who calls: the one SPIFFE ID in the client certificate, asked anew on every call, because an open connection outlives
 * both the certificate's end and the connection's handshake. TLS has verified the chain; the name and the dates are
 * checked here.
 */
import type { ServerUnaryCall } from '@grpc/grpc-js';
import { type PeerIdentity, readPeerIdentity } from '../../identity/peer-identity.ts';
import { isMemberOf } from '../../identity/spiffe-id.ts';
import { SvidError } from '../../identity/svid.ts';
import type { Workload } from '../domain/caller.ts';
import { BrokerError } from '../errors.ts';
import type { Clock } from '../ports.ts';

/** The part of a call that tells who makes it. */
export type PeerCall = Pick<ServerUnaryCall<unknown, unknown>, 'getAuthContext' | 'getPeer'>;

export interface Peer extends Workload {
  readonly certificateExpiresAt: Date;
}

/** Throws UNAUTHENTICATED. */
export type IdentifyPeer = (call: PeerCall) => Peer;

/** How many parsed certificates are remembered; parsing one costs more than the rest of a call. */
const remembered = 10_000;

export function createIdentifyPeer(deps: {
  trustDomain: string;
  clock: Clock;
  newRequestId: () => string;
}): IdentifyPeer {
  /** SHA-256 fingerprint → what the certificate says */
  const identities = new Map<string, PeerIdentity>();

  return (call) => {
    const certificate = call.getAuthContext().sslPeerCertificate;
    if (!certificate?.raw) throw unauthenticated('no verified client certificate');
    const identity = identities.get(certificate.fingerprint256) ?? read(certificate.raw, certificate.fingerprint256);
    if (identity.notAfter <= deps.clock.now().getTime())
      throw unauthenticated(`certificate of ${identity.spiffeId.uri} has expired`);
    if (!isMemberOf(identity.spiffeId, deps.trustDomain)) {
      throw unauthenticated(`${identity.spiffeId.uri} is of another trust domain`);
    }
    return {
      kind: 'workload',
      spiffeId: identity.spiffeId.uri,
      certificateSerial: identity.serial,
      certificateExpiresAt: new Date(identity.notAfter),
      ip: hostOf(call.getPeer()),
      requestId: deps.newRequestId(),
    };
  };

  function read(der: Uint8Array, fingerprint: string): PeerIdentity {
    try {
      const identity = readPeerIdentity(der);
      if (identities.size >= remembered) identities.clear();
      identities.set(fingerprint, identity);
      return identity;
    } catch (error) {
      if (!(error instanceof SvidError)) throw error;
      throw unauthenticated(error.message);
    }
  }
}

function unauthenticated(detail: string): BrokerError {
  return new BrokerError('UNAUTHENTICATED', { detail });
}

/** `10.0.0.7:41234` or `[::1]:41234` without the port. */
export function hostOf(peer: string): string | undefined {
  const host = peer.replace(/:\d+$/, '').replace(/^\[|\]$/g, '');
  return host === '' || host === 'unknown' ? undefined : host;
}
