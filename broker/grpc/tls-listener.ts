/**
 * Where sidecars connect: TLS 1.3 only, a client certificate always, no session tickets (one would let a client resume after its
 * certificate has ended), HTTP/2 and nothing else. The gRPC server is given connections that have come through all of that.
 *
 * The listener is ours and not grpc-js's, because that bounds neither connections nor the time of a handshake, tells nobody of
 * those that fail, and parses the certificate anew on every call. Node is not left to end a connection whose certificate does
 * not verify: it says neither why nor whose it was. That is looked at in `admit`, before anything is read.
 */
import { constants } from 'node:crypto';
import { once } from 'node:events';
import { type AddressInfo, createServer as createTcpServer, type Socket } from 'node:net';
import { createServer, type SecureContextOptions, type TLSSocket } from 'node:tls';
import { SvidError } from '../../identity/svid.ts';
import type { BrokerIdentity } from './broker-identity.ts';
import { type Connection, type ConnectionPools, createConnectionPools } from './connection-limits.ts';
import type { PeerCertificates } from './peer-certificate.ts';
import type { ConnectionRefusal } from './tls-refusal.ts';
import { refusalOf, verdictOn } from './tls-refusal.ts';

export interface TlsListener {
  readonly port: number;
  /** Shows the new certificate to every connection made from now on. */
  rotate(identity: BrokerIdentity): void;
  readonly counts: ConnectionPools['counts'];
  /** Ends connections of whom this is true. */
  cut(
    isOver: (certificate: { readonly spiffeId: string; readonly serial: string; readonly notAfter: number }) => boolean,
  ): void;
  /** Takes no more connections and ends those that are not proven. */
  stop(): void;
}

export interface TlsListenerDeps {
  readonly listen: { readonly host: string; readonly port: number };
  readonly identity: BrokerIdentity;
  readonly certificates: Pick<PeerCertificates, 'keep'>;
  readonly limits: Parameters<typeof createConnectionPools>[0] & {
    /** From the first byte that could come to the end of the handshake. */
    readonly handshakeMs: number;
  };
  /** Given each connection that is proven. */
  readonly onConnection: (socket: TLSSocket) => void;
  readonly onRefused: (refusal: ConnectionRefusal, address: string) => void;
}

export async function startTlsListener(deps: TlsListenerDeps): Promise<TlsListener> {
  const { certificates, limits, onConnection, onRefused } = deps;
  const pools = createConnectionPools(limits);
  /** By both ends of the connection: TLS does not say which one it has secured. */
  const waiting = new Map<string, Connection>();
  const open = new Map<TLSSocket, ReturnType<typeof certificates.keep>>();

  const tls = createServer({
    ...contextOf(deps.identity),
    requestCert: true,
    rejectUnauthorized: false,
    ALPNProtocols: ['h2'],
    handshakeTimeout: limits.handshakeMs,
  });
  tls.on('tlsClientError', (error, socket) => {
    if (waiting.delete(endsOf(socket))) onRefused(refusalOf(error), addressOf(socket));
    socket.destroy();
  });
  tls.on('secureConnection', (socket) => {
    socket.on('error', () => socket.destroy());
    const connection = waiting.get(endsOf(socket));
    waiting.delete(endsOf(socket));
    // Dropped meanwhile, and told.
    if (!connection) return void socket.destroy();
    const refused = admit(socket, connection);
    if (refused === undefined) return onConnection(socket);
    onRefused(refused, connection.address);
    socket.destroy();
  });

  function admit(socket: TLSSocket, connection: Connection): ConnectionRefusal | undefined {
    if (!socket.authorized) return verdictOn(socket);
    if (socket.alpnProtocol !== 'h2') return 'not_http2';
    const peer = certificates.keep(socket);
    // Who has a certificate that is no SVID hears so on each call, and counts as one workload with all such.
    const workload = peer instanceof SvidError ? '' : peer.spiffeId.uri;
    if (!pools.prove(connection, workload)) return 'too_many';
    open.set(socket, peer);
    socket.once('close', () => open.delete(socket));
    return undefined;
  }

  const tcp = createTcpServer({ noDelay: true }, (socket: Socket) => {
    const ends = endsOf(socket);
    const connection = {
      address: addressOf(socket),
      drop() {
        waiting.delete(ends);
        onRefused('crowded_out', connection.address);
        socket.destroy();
      },
    };
    socket.once('close', () => {
      pools.leave(connection);
      if (waiting.get(ends) !== connection) return;
      waiting.delete(ends);
      onRefused('gave_up', connection.address);
    });
    waiting.set(ends, connection);
    pools.enter(connection);
    tls.emit('connection', socket);
  });
  tcp.listen(deps.listen);
  await once(tcp, 'listening');

  return {
    port: (tcp.address() as AddressInfo).port,
    rotate: (identity) => tls.setSecureContext(contextOf(identity)),
    counts: pools.counts,
    cut(isOver) {
      for (const [socket, peer] of open) {
        if (!(peer instanceof SvidError) && isOver({ ...peer, spiffeId: peer.spiffeId.uri })) socket.destroy();
      }
    },
    stop() {
      tcp.close();
      for (const connection of waiting.values()) connection.drop();
    },
  };
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

function endsOf({ remoteAddress, remotePort, localAddress, localPort }: Socket): string {
  return `${remoteAddress} ${remotePort} ${localAddress} ${localPort}`;
}

/** As IPv4 writes it also where the socket speaks IPv6. */
function addressOf({ remoteAddress = 'unknown' }: Socket): string {
  return remoteAddress.replace(/^::ffff:(?=\d+\.)/, '');
}
