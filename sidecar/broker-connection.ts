/**
 * One gRPC connection to the broker, over mTLS with TLS 1.3. The only import of grpc-js in the sidecar. Whoever answers
 * must have the broker's SPIFFE ID; its host name proves nothing and is not looked at.
 */
import { isIP } from 'node:net';
import { createSecureContext, type PeerCertificate } from 'node:tls';
import { Client, connectivityState, credentials, Metadata, type ServiceError, status } from '@grpc/grpc-js';
import { readPeerIdentity } from '../identity/peer-identity.ts';
import type { SpiffeId } from '../identity/spiffe-id.ts';
import {
  type ChannelsUpdate,
  ERROR_CODE_KEY,
  type GetAccessTokenRequest,
  type GetAccessTokenResponse,
  loadTokenBroker,
  RETRY_AFTER_KEY,
} from '../proto/load.ts';
import { SidecarError, sidecarError } from './errors.ts';
import type { WorkloadSvid } from './svid-issuer.ts';

const channelOptions = {
  // A proxy of the environment could hold up every call.
  'grpc.enable_http_proxy': 0,
  'grpc.enable_channelz': 0,
  // The default of two minutes would leave a broker that is back unnoticed.
  'grpc.initial_reconnect_backoff_ms': 200,
  'grpc.max_reconnect_backoff_ms': 3_000,
  'grpc.keepalive_time_ms': 30_000,
  'grpc.keepalive_timeout_ms': 5_000,
  'grpc.keepalive_permit_without_calls': 1,
} as const;

/** Failures that can pass without anybody acting; all others are permanent. */
const passing: ReadonlySet<number> = new Set([
  status.UNAVAILABLE,
  status.DEADLINE_EXCEEDED,
  status.RESOURCE_EXHAUSTED,
  status.ABORTED,
  status.INTERNAL,
  status.UNKNOWN,
]);

const LONGEST_SENTENCE = 500;

/** Hears a stream of `Subscribe`. */
export interface SubscriptionListener {
  update(update: ChannelsUpdate): void;
  ended(error: SidecarError | undefined): void;
}

export interface BrokerConnection {
  /** End of the certificate that it was made with, in milliseconds since 1970. */
  readonly notAfter: number;
  /**
   * Calls `GetAccessToken`.
   *
   * @param deadline Milliseconds since 1970.
   * @throws SidecarError with the broker's code, or BROKER_UNREACHABLE, BROKER_NOT_TRUSTED, BROKER_FAILING.
   */
  getAccessToken(request: Partial<GetAccessTokenRequest>, deadline: number): Promise<GetAccessTokenResponse>;
  /**
   * Calls `Subscribe`. `ended` is told once, without an error where the broker ended it in good order, and not after
   * `cancel`.
   */
  subscribe(channelIds: readonly string[], listener: SubscriptionListener): { cancel(): void };
  /** Connects, and resolves to whether the broker has accepted the connection before the deadline. */
  ready(deadline: number): Promise<boolean>;
  close(): void;
}

/** Makes the opener of connections; reads the API's definition once. */
export function createBrokerConnector(address: string, expected: SpiffeId): (svid: WorkloadSvid) => BrokerConnection {
  const { GetAccessToken, Subscribe } = loadTokenBroker();
  return (svid) => {
    let impostor: Error | undefined;
    let closed = false;
    const client = openClient(address, expected.trustDomain, svid, (certificate) => {
      impostor = mismatch(certificate, expected);
      return impostor;
    });
    // Connects now, so that the first call need not wait for it.
    client.getChannel().getConnectivityState(true);
    const failureOf = (error: ServiceError) =>
      impostor ? sidecarError('BROKER_NOT_TRUSTED', { cause: impostor }) : translate(error);
    return {
      notAfter: svid.notAfter.getTime(),
      getAccessToken: (request, deadline) =>
        new Promise((resolve, reject) => {
          client.makeUnaryRequest(
            GetAccessToken.path,
            GetAccessToken.requestSerialize,
            GetAccessToken.responseDeserialize,
            request,
            new Metadata(),
            { deadline },
            (error: ServiceError | null, response) => {
              if (response) resolve(response);
              else reject(error ? failureOf(error) : sidecarError('BROKER_FAILING'));
            },
          );
        }),
      subscribe(channelIds, listener) {
        let over = false;
        const end = (error: SidecarError | undefined) => {
          if (over) return;
          over = true;
          listener.ended(error);
        };
        const { path, requestSerialize, responseDeserialize } = Subscribe;
        const stream = client.makeServerStreamRequest(path, requestSerialize, responseDeserialize, { channelIds });
        stream.on('data', (update: ChannelsUpdate) => {
          if (!over) listener.update(update);
        });
        stream.on('error', (error: ServiceError) =>
          end(
            error.code === status.UNIMPLEMENTED ? sidecarError('BROKER_TOO_OLD', { cause: error }) : failureOf(error),
          ),
        );
        stream.on('end', () => end(undefined));
        return {
          cancel() {
            over = true;
            stream.cancel();
          },
        };
      },
      async ready(deadline) {
        // Not `client.waitForReady`: one that waits when the client is closed opens it again.
        while (!closed) {
          const state = client.getChannel().getConnectivityState(true);
          if (state === connectivityState.READY) return true;
          if (!(await changes(client, state, deadline))) return false;
        }
        return false;
      },
      close() {
        closed = true;
        client.close();
      },
    };
  };
}

function openClient(
  address: string,
  trustDomain: string,
  svid: WorkloadSvid,
  checkPeer: (certificate: PeerCertificate) => Error | undefined,
): Client {
  const secureContext = createSecureContext({
    minVersion: 'TLSv1.3',
    ca: [...svid.bundlePem],
    cert: [svid.certificatePem, ...svid.chainPem].join('\n'),
    key: svid.privateKeyPem,
    // The bundle's authorities are anchors also where one of them is an intermediate.
    allowPartialTrustChain: true,
  });
  const host = address.slice(0, address.lastIndexOf(':')).replace(/^\[|\]$/g, '');
  return new Client(
    address,
    credentials.createFromSecureContext(secureContext, { checkServerIdentity: (_host, peer) => checkPeer(peer) }),
    {
      ...channelOptions,
      // TLS knows no server names that are IP addresses (RFC 6066, section 3).
      ...(isIP(host) ? { 'grpc.ssl_target_name_override': trustDomain } : {}),
    },
  );
}

/** Resolves to whether the connection has another state before the deadline. */
function changes(client: Client, state: connectivityState, deadline: number): Promise<boolean> {
  return new Promise((resolve) => {
    client.getChannel().watchConnectivityState(state, deadline, (error) => resolve(!error));
  });
}

function mismatch(certificate: PeerCertificate, expected: SpiffeId): Error | undefined {
  try {
    const { spiffeId } = readPeerIdentity(certificate.raw);
    return spiffeId.uri === expected.uri ? undefined : new Error(`the peer is ${spiffeId.uri}`);
  } catch (cause) {
    return new Error('the peer has no svid', { cause });
  }
}

/**
 * A refusal has the broker's code in its trailing metadata and keeps the broker's sentence, which ends with the next
 * step; without that code nobody who knows the API has answered.
 */
function translate(error: ServiceError): SidecarError {
  const [code] = error.metadata.get(ERROR_CODE_KEY);
  if (code === undefined) {
    const silent = error.code === status.UNAVAILABLE || error.code === status.DEADLINE_EXCEEDED;
    return sidecarError(silent ? 'BROKER_UNREACHABLE' : 'BROKER_FAILING', { cause: error });
  }
  return new SidecarError(
    {
      code: String(code),
      http: passing.has(error.code) ? 503 : 403,
      sentence: error.details.slice(0, LONGEST_SENTENCE),
      next: undefined,
      retryAfter: seconds(error.metadata.get(RETRY_AFTER_KEY)[0]),
    },
    { cause: error },
  );
}

function seconds(value: string | Buffer | undefined): number | undefined {
  return value !== undefined && /^\d{1,6}$/.test(String(value)) ? Number(value) : undefined;
}
