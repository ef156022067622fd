/**
 * The way to the broker, step by step, because gRPC tells only that there is no connection: the name, the port, TLS, the
 * authority, the identity, whether it accepts our certificate, and its clock.
 */
import { once } from 'node:events';
import { connect as connectHttp2, constants } from 'node:http2';
import { isIP } from 'node:net';
import { connect, createSecureContext, type TLSSocket } from 'node:tls';
import { readPeerIdentity } from '../../identity/peer-identity.ts';
import type { SpiffeId } from '../../identity/spiffe-id.ts';
import type { WorkloadSvid } from '../svid-issuer.ts';
import { examineClock } from './clock.ts';
import { type Finding, told, trap, well } from './finding.ts';

const DEADLINE_MS = 5_000;

export interface BrokerExamination {
  /** `HOST:PORT` */
  readonly address: string;
  readonly expected: SpiffeId;
  readonly svid: WorkloadSvid;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

export async function examineBroker({ address, expected, svid, now }: BrokerExamination): Promise<readonly Finding[]> {
  let socket: TLSSocket;
  try {
    socket = await open(address, expected.trustDomain, svid);
  } catch (error) {
    return [unreachable(address, error)];
  }
  try {
    const peer = peerOf(socket);
    if (typeof peer !== 'string') return [trap('BROKER_OTHER_AUTHORITY', peer.message)];
    if (peer !== expected.uri) return [trap('BROKER_OTHER_NAME', `It is ${peer}, and ${expected.uri} is expected.`)];
    const date = await askForTheTime(socket);
    if (date === undefined) return [trap('BROKER_REFUSES')];
    return [
      well('BROKER', `${expected.uri} answers at ${address} and accepts the certificate.`),
      ...examineClock('the broker', date, now()),
    ];
  } finally {
    socket.destroy();
  }
}

async function open(address: string, trustDomain: string, svid: WorkloadSvid): Promise<TLSSocket> {
  const colon = address.lastIndexOf(':');
  const host = address.slice(0, colon).replace(/^\[|\]$/g, '');
  const socket = connect({
    host,
    port: Number(address.slice(colon + 1)),
    servername: isIP(host) ? trustDomain : host,
    ALPNProtocols: ['h2'],
    // Looked at below, so that it can be told who is there.
    rejectUnauthorized: false,
    checkServerIdentity: () => undefined,
    secureContext: createSecureContext({
      minVersion: 'TLSv1.3',
      ca: [...svid.bundlePem],
      cert: [svid.certificatePem, ...svid.chainPem].join('\n'),
      key: svid.privateKeyPem,
      allowPartialTrustChain: true,
    }),
  });
  socket.on('error', () => undefined);
  try {
    await once(socket, 'secureConnect', { signal: AbortSignal.timeout(DEADLINE_MS) });
  } catch (error) {
    socket.destroy();
    throw error;
  }
  return socket;
}

function unreachable(address: string, error: unknown): Finding {
  const { code = '', name } = error as NodeJS.ErrnoException;
  if (code.startsWith('ERR_SSL') || code === 'ECONNRESET' || code === 'EPROTO')
    return trap('BROKER_NO_TLS', `${address}: ${code}.`);
  const why =
    name === 'AbortError'
      ? 'it does not answer in time'
      : code === 'ENOTFOUND' || code === 'EAI_AGAIN'
        ? 'its name is not known'
        : code;
  return told(
    'BROKER_UNREACHABLE',
    `the broker cannot be reached at ${address}: ${why}`,
    'Check SIDECAR_BROKER_ADDR and the network: the gRPC port must be open from here.',
  );
}

/** The SPIFFE ID that TLS has verified, or why there is none. */
function peerOf(socket: TLSSocket): string | Error {
  const { authorizationError } = socket;
  if (authorizationError) return new Error(`TLS says ${String(authorizationError)}.`);
  try {
    return readPeerIdentity(socket.getPeerCertificate().raw).spiffeId.uri;
  } catch {
    return new Error('The certificate names no SPIFFE ID.');
  }
}

/**
 * With TLS 1.3 a server looks at the client's certificate after the handshake, so that only an answer shows that it is
 * accepted. A gRPC server refuses a plain request, and dates the refusal.
 */
async function askForTheTime(socket: TLSSocket): Promise<number | undefined> {
  const session = connectHttp2('https://broker', { createConnection: () => socket });
  session.on('error', () => undefined);
  try {
    const stream = session.request({ [constants.HTTP2_HEADER_PATH]: '/' });
    stream.on('error', () => undefined);
    const [headers] = await once(stream, 'response', { signal: AbortSignal.timeout(DEADLINE_MS) });
    return Date.parse(String(headers.date));
  } catch {
    return undefined;
  } finally {
    session.destroy();
  }
}
