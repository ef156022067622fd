/**
 * Reads a client's certificate once for each connection. `getPeerCertificate` parses it anew whenever it is asked, and grpc-js
 * asks on every call; so the socket is given the answer to keep, and who it names is found by that object.
 */
import type { PeerCertificate, TLSSocket } from 'node:tls';
import { type PeerIdentity, readPeerIdentity } from '../../identity/peer-identity.ts';
import { SvidError } from '../../identity/svid.ts';

/** How many parsed certificates are remembered beyond their connection: sidecars connect anew now and then. */
const remembered = 10_000;

export interface PeerCertificates {
  /** Has the socket answer with one and the same certificate from now on; answers who that names. */
  keep(socket: TLSSocket): PeerIdentity | SvidError;
  /** Who a certificate names, or the rule that it breaks. */
  read(certificate: PeerCertificate): PeerIdentity | SvidError;
}

export function createPeerCertificates(): PeerCertificates {
  const byObject = new WeakMap<PeerCertificate, PeerIdentity | SvidError>();
  /** By SHA-256 fingerprint. */
  const byFingerprint = new Map<string, PeerIdentity | SvidError>();

  function parse({ fingerprint256, raw }: PeerCertificate): PeerIdentity | SvidError {
    const known = byFingerprint.get(fingerprint256);
    if (known) return known;
    const parsed = attempt(raw);
    if (byFingerprint.size >= remembered) byFingerprint.clear();
    byFingerprint.set(fingerprint256, parsed);
    return parsed;
  }

  function read(certificate: PeerCertificate): PeerIdentity | SvidError {
    const known = byObject.get(certificate);
    if (known) return known;
    const parsed = parse(certificate);
    byObject.set(certificate, parsed);
    return parsed;
  }

  return {
    read,
    keep(socket) {
      const certificate = socket.getPeerCertificate();
      socket.getPeerCertificate = (() => certificate) as typeof socket.getPeerCertificate;
      return read(certificate);
    },
  };
}

function attempt(der: Uint8Array): PeerIdentity | SvidError {
  try {
    return readPeerIdentity(der);
  } catch (error) {
    if (error instanceof SvidError) return error;
    throw error;
  }
}
