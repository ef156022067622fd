/**
 * Who calls: the one SPIFFE ID in the client certificate, asked anew on every call, because an open connection outlives the
 * certificate's end, its revocation, and the workload's standing. TLS has verified the chain when the connection was made; the
 * name, the dates, and who is shut out are checked here. It all comes from memory.
 */
import type { ServerUnaryCall } from '@grpc/grpc-js';
import { isMemberOf } from '../../identity/spiffe-id.ts';
import { SvidError } from '../../identity/svid.ts';
import type { Workload } from '../domain/caller.ts';
import { BrokerError } from '../errors.ts';
import type { ShutOut } from '../flow/shut-out.ts';
import type { Clock } from '../ports.ts';
import type { PeerCertificates } from './peer-certificate.ts';

/** The part of a call that tells who makes it. */
export type PeerCall = Pick<ServerUnaryCall<unknown, unknown>, 'getAuthContext' | 'getPeer'>;

export interface Peer extends Workload {
  readonly certificateExpiresAt: Date;
}

/** Throws UNAUTHENTICATED, WORKLOAD_DENIED, CERTIFICATE_REVOKED, REVOCATIONS_UNKNOWN. */
export type IdentifyPeer = (call: PeerCall) => Peer;

export function createIdentifyPeer(deps: {
  certificates: Pick<PeerCertificates, 'read'>;
  trustDomain: string;
  shutOut: Pick<ShutOut, 'refusalOf'>;
  clock: Clock;
  newRequestId: () => string;
}): IdentifyPeer {
  const { certificates, trustDomain, shutOut, clock, newRequestId } = deps;

  return (call) => {
    const certificate = call.getAuthContext().sslPeerCertificate;
    if (!certificate?.raw) throw unauthenticated('no verified client certificate');
    const identity = certificates.read(certificate);
    if (identity instanceof SvidError) throw unauthenticated(identity.message);
    const { spiffeId, serial, notBefore, notAfter } = identity;
    const now = clock.now().getTime();
    if (notAfter <= now) throw unauthenticated(`certificate of ${spiffeId.uri} has expired`);
    if (now < notBefore) throw unauthenticated(`certificate of ${spiffeId.uri} is not valid yet`);
    if (!isMemberOf(spiffeId, trustDomain)) throw unauthenticated(`${spiffeId.uri} is of another trust domain`);
    const refusal = shutOut.refusalOf({ spiffeId: spiffeId.uri, serial });
    if (refusal) throw new BrokerError(refusal, { detail: `${spiffeId.uri} with the certificate ${serial}` });
    return {
      kind: 'workload',
      spiffeId: spiffeId.uri,
      certificateSerial: serial,
      certificateExpiresAt: new Date(notAfter),
      ip: hostOf(call.getPeer()),
      requestId: newRequestId(),
    };
  };
}

function unauthenticated(detail: string): BrokerError {
  return new BrokerError('UNAUTHENTICATED', { detail });
}

/** `10.0.0.7:41234` or `[::1]:41234` without the port; IPv4 as such, also where the socket speaks IPv6. */
export function hostOf(peer: string): string | undefined {
  const host = peer.replace(/:\d+$/, '').replace(/^\[|\]$|^::ffff:(?=\d+\.)/g, '');
  return host === '' || host === 'unknown' ? undefined : host;
}
