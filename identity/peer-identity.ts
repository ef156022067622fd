/**
 * Who is at the other end of a TLS connection. TLS has verified the chain to the trust bundle before; this reads the
 * name. Both sides use it: the broker for its callers, the sidecar for the broker.
 */
import type { SpiffeId } from './spiffe-id.ts';
import { readSvid } from './svid.ts';

/** The peer that a certificate names. */
export interface PeerIdentity {
  readonly spiffeId: SpiffeId;
  /** As Vault and OpenBao write it: `1a:2b:…`. */
  readonly serial: string;
  /**
   * From the first of these instants on the certificate is accepted, from the second on it is not any more, in
   * milliseconds since 1970: numbers, because they are compared on every call (an open connection outlives its
   * certificate).
   */
  readonly notBefore: number;
  readonly notAfter: number;
}

/**
 * Reads the identity from the peer's certificate. Costs a parse: do it once per connection and compare `notAfter`
 * with the time on every call.
 *
 * @param der The `raw` of the certificate that TLS has verified.
 * @throws SvidError when the certificate is no SVID: for example not exactly one URI name.
 */
export function readPeerIdentity(der: Uint8Array): PeerIdentity {
  const { spiffeId, serial, notBefore, notAfter } = readSvid(der);
  return { spiffeId, serial, notBefore: notBefore.getTime(), notAfter: notAfter.getTime() };
}
