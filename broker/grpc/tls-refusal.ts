/** Why a connection came to nothing, in the few words that are counted. */
import type { TLSSocket } from 'node:tls';

export type ConnectionRefusal =
  /** It spoke something that is not TLS. */
  | 'not_tls'
  /** It spoke no TLS 1.3. */
  | 'old_tls'
  /** It spoke no HTTP/2. */
  | 'not_http2'
  | 'no_certificate'
  | 'expired_certificate'
  | 'not_yet_valid_certificate'
  /** Its certificate does not lead to our trust bundle, or is not one for this. */
  | 'untrusted_certificate'
  /** It did not come to the end of the handshake in time. */
  | 'too_slow'
  /** It went away. */
  | 'gave_up'
  /** It waited longest where too many wait. */
  | 'crowded_out'
  /** There are too many connections, or too many of its workload. */
  | 'too_many';

/** Those by which somebody tried to be let in who could not prove who they are. */
export const identityRefusals: ReadonlySet<ConnectionRefusal> = new Set([
  'no_certificate',
  'expired_certificate',
  'not_yet_valid_certificate',
  'untrusted_certificate',
]);

const byCode: Readonly<Record<string, ConnectionRefusal>> = {
  ERR_SSL_UNSUPPORTED_PROTOCOL: 'old_tls',
  ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION: 'old_tls',
  ERR_SSL_NO_APPLICATION_PROTOCOL: 'not_http2',
  ERR_TLS_HANDSHAKE_TIMEOUT: 'too_slow',
  CERT_HAS_EXPIRED: 'expired_certificate',
  CERT_NOT_YET_VALID: 'not_yet_valid_certificate',
};

/** Why a handshake failed. */
export function refusalOf(error: Error): ConnectionRefusal {
  const code = 'code' in error ? String(error.code) : '';
  return byCode[code] ?? (code.startsWith('ERR_SSL_') ? 'not_tls' : 'gave_up');
}

/** What is wrong with the certificate of a socket that is not authorized. */
export function verdictOn(socket: TLSSocket): ConnectionRefusal {
  // Typed as an Error; Node gives OpenSSL's name of it.
  const verdict = String(socket.authorizationError);
  if (!socket.getPeerCertificate().raw) return 'no_certificate';
  return byCode[verdict] ?? 'untrusted_certificate';
}
