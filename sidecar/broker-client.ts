/**
 * The way to the broker across rotations. A connection lives and dies with the certificate that it was made with: an
 * open one outlives its certificate, and the broker then refuses every call on it. So each rotation makes a new
 * connection beside the old one, and the calls move over once the broker has accepted it, at the latest when the old
 * certificate ends.
 */
import type { SpiffeId } from '../identity/spiffe-id.ts';
import { fromTimestamp, type GetAccessTokenRequest } from '../proto/load.ts';
import { type BrokerConnection, createBrokerConnector, type SubscriptionListener } from './broker-connection.ts';
import { SidecarError, sidecarError } from './errors.ts';
import type { WorkloadSvid } from './svid-issuer.ts';

/** Google's clients give up after 3 s. */
const DEADLINE_MS = 2_000;
const NEAR_ITS_END_MS = 60_000;

/** An access token as the broker released it. */
export interface ReleasedToken {
  readonly channelId: string;
  readonly accessToken: string;
  /** Milliseconds since 1970. */
  readonly expiresAt: number;
  readonly scopes: readonly string[];
  /** `UC…` */
  readonly youtubeChannelId: string;
  /** Of the grant that it comes from; 0 where the broker does not say. */
  readonly generation: number;
}

export interface BrokerClient {
  /** Takes a new certificate into use. */
  use(svid: WorkloadSvid): void;
  /**
   * Asks for the token of a channel.
   *
   * @throws SidecarError with the broker's code, or STARTING, IDENTITY_EXPIRED, BROKER_UNREACHABLE, BROKER_NOT_TRUSTED,
   * BROKER_FAILING.
   */
  getAccessToken(request: Partial<GetAccessTokenRequest>): Promise<ReleasedToken>;
  /**
   * Subscribes to channels on the connection of the moment; see `onMove`.
   *
   * @throws SidecarError STARTING, IDENTITY_EXPIRED.
   */
  subscribe(channelIds: readonly string[], listener: SubscriptionListener): { cancel(): void };
  /** Has it told when calls go to another connection: streams on the old one end soon. */
  onMove(told: () => void): void;
  /** Resolves to whether the broker has accepted a connection, or does within the time given. */
  connected(withinMs: number): Promise<boolean>;
  close(): void;
}

export interface BrokerClientOptions {
  /** `HOST:PORT`. */
  readonly address: string;
  readonly spiffeId: SpiffeId;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

export function createBrokerClient({ address, spiffeId, now }: BrokerClientOptions): BrokerClient {
  const connect = createBrokerConnector(address, spiffeId);
  const open = new Set<BrokerConnection>();
  let current: BrokerConnection | undefined;
  let candidate: BrokerConnection | undefined;
  let moved = () => {};

  const close = (connection: BrokerConnection | undefined) => {
    if (connection && open.delete(connection)) connection.close();
  };

  const moveTo = (next: BrokerConnection) => {
    const old = current;
    current = next;
    candidate = undefined;
    moved();
    // Closing fails the calls that wait for the old one to connect; by then they have ended.
    setTimeout(() => close(old), DEADLINE_MS).unref();
  };

  const inForce = () => {
    if (!current) throw sidecarError('STARTING');
    // The broker would refuse, and all that gRPC could tell is that there is no connection.
    if (now() >= current.notAfter) throw sidecarError('IDENTITY_EXPIRED');
    return current;
  };

  /** The broker's clock decides, and a call takes its time: near its end, a certificate is refused for no other reason. */
  const isItsEnd = (error: unknown, { notAfter }: BrokerConnection) =>
    error instanceof SidecarError && error.code === 'UNAUTHENTICATED' && now() + NEAR_ITS_END_MS >= notAfter;

  return {
    use(svid) {
      close(candidate);
      const next = connect(svid);
      candidate = next;
      open.add(next);
      const patience = current ? Math.min(current.notAfter, next.notAfter) : 0;
      if (now() >= patience) moveTo(next);
      else
        void next.ready(patience).then(() => {
          if (candidate === next && open.has(next)) moveTo(next);
        });
    },
    async getAccessToken(request) {
      const connection = inForce();
      const answer = await connection.getAccessToken(request, now() + DEADLINE_MS).catch((error: unknown) => {
        throw isItsEnd(error, connection) ? sidecarError('IDENTITY_EXPIRED', { cause: error }) : error;
      });
      const { expiresAt, accessToken, ...rest } = answer;
      if (!accessToken || !expiresAt) throw sidecarError('BROKER_FAILING');
      return { ...rest, accessToken, expiresAt: fromTimestamp(expiresAt).getTime() };
    },
    subscribe: (channelIds, listener) => inForce().subscribe(channelIds, listener),
    onMove(told) {
      moved = told;
    },
    async connected(withinMs) {
      if (!current || now() >= current.notAfter) return false;
      return current.ready(now() + withinMs);
    },
    close() {
      for (const connection of open) close(connection);
      current = undefined;
    },
  };
}
