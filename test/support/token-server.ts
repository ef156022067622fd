import { Secret } from '../../broker/domain/secret.ts';
import type { BrokerError } from '../../broker/errors.ts';
import type { AccessTokenRequest, ReleasedToken } from '../../broker/flow/get-access-token.ts';
import type { WatchChannels, WatchedChannel, Watcher } from '../../broker/flow/watch-channels.ts';
import { type BrokerIdentitySource, startBrokerIdentity } from '../../broker/grpc/broker-identity.ts';
import { createIdentifyPeer } from '../../broker/grpc/peer.ts';
import { createPeerCertificates } from '../../broker/grpc/peer-certificate.ts';
import { type GrpcServer, startGrpcServer } from '../../broker/grpc/server.ts';
import { createTokenService } from '../../broker/grpc/token-service.ts';
import { createCertificateAuthority } from '../../broker/vault/server-certificate.ts';
import { freePort } from '../../stack/free-port.ts';
import { brokerSpiffeId } from '../../vault-policies/layout.ts';
import { atEnd, type Scope } from './scope.ts';
import { createTestShutOut, type TestShutOut } from './shut-out.ts';
import type { SetUpVault } from './vault-set-up.ts';

/** A call as it arrived, with who made it. */
export interface TokenCall extends AccessTokenRequest {
  readonly spiffeId: string;
  readonly serial: string;
}

/** Answers a call; throws `BrokerError` to refuse it. */
export type TokenScript = (call: TokenCall) => Promise<ReleasedToken> | ReleasedToken;

/** A subscription that is open, with the channels that it names. */
export interface OpenSubscription {
  readonly spiffeId: string;
  readonly channels: readonly string[];
  /** Ends it as the broker does: by an error, or because it stops. */
  end(error?: BrokerError): void;
}

/**
 * The broker's own gRPC server, with identities from the real PKI, over a script in place of the flow: for tests of
 * what a sidecar makes of each answer.
 */
export interface TokenServer {
  /** `127.0.0.1:PORT`; the same after `stop` and `start`. */
  readonly address: string;
  readonly calls: readonly TokenCall[];
  answer(script: TokenScript): void;
  /** Every channel is available in generation 1 until this says otherwise; subscribers are told at once. */
  stand(channel: string, standing: Partial<Omit<WatchedChannel, 'channel'>>): void;
  readonly subscriptions: ReadonlySet<OpenSubscription>;
  /** How many there have been, with those that have ended. */
  subscribed(): number;
  /** Who is shut out; nobody at first. */
  readonly shutOut: TestShutOut;
  /** Refuses new subscriptions by this error; undefined to take them again. */
  refuseSubscriptions(error: BrokerError | undefined): void;
  start(): Promise<void>;
  stop(): Promise<void>;
}

export interface TokenServerOptions {
  /** Where it listens; a free one by default. */
  readonly port?: number;
  /** The identity that it shows; the broker's by default. */
  readonly spiffeId?: string;
  readonly pkiRole?: string;
  /** How far ahead the clock is that certificates are compared with, in milliseconds. */
  readonly ahead?: () => number;
  /** Whose workloads are let in; its own by default. */
  readonly trustDomain?: string;
  /** Whether it is as old as a broker that does not know the call. */
  readonly withoutSubscribe?: boolean;
  /** Of subscriptions; the broker's own by default. */
  readonly timing?: { readonly repeatEveryMs?: number; readonly takenWithinMs?: number };
  /** Told each peer that could not prove who it is. */
  readonly onDenied?: (detail: string) => void;
}

/** Starts one; it is stopped with the scope. */
export async function useTokenServer(
  scope: Scope,
  vault: SetUpVault,
  options: TokenServerOptions = {},
): Promise<TokenServer> {
  const { trustDomain, mounts } = vault.layout;
  const clock = { now: () => new Date() };
  const calls: TokenCall[] = [];
  const standings = new Map<string, WatchedChannel>();
  const subscriptions = new Set<OpenSubscription & { readonly watcher: Watcher }>();
  let subscribed = 0;
  let refusal: BrokerError | undefined;
  const standingsOf = (channels: readonly string[]) =>
    channels.map((channel) => standings.get(channel) ?? { channel, refusal: undefined, generation: 1 });
  const watch: WatchChannels['watch'] = (caller, channels, watcher) => {
    if (refusal) throw refusal;
    const subscription = {
      spiffeId: caller.spiffeId,
      channels,
      watcher,
      end(error?: BrokerError) {
        subscriptions.delete(subscription);
        watcher.end(error);
      },
    };
    subscriptions.add(subscription);
    subscribed += 1;
    watcher.update(standingsOf(channels));
    return { close: () => subscriptions.delete(subscription) };
  };
  const certificates = createPeerCertificates();
  const shutOut = createTestShutOut();
  let script: TokenScript = () => tokenFor(3_600);
  let server: GrpcServer | undefined;
  const port = options.port ?? (await freePort());

  const identity: BrokerIdentitySource = await startBrokerIdentity({
    // As the broker logs in; an impostor is given what the broker's policy refuses.
    authority: createCertificateAuthority({
      vault: options.pkiRole ? vault.operator : await vault.asBroker(),
      pki: mounts.pki,
    }),
    spiffeId: options.spiffeId ?? brokerSpiffeId(trustDomain),
    pkiRole: options.pkiRole ?? 'broker',
    clock,
    randomFraction: Math.random,
    sleep: (_ms, signal) => new Promise((resolve) => signal.addEventListener('abort', () => resolve())),
    onRotated: (next) => server?.rotate(next),
    onFault: () => {},
  });
  const peerClock = { now: () => new Date(Date.now() + (options.ahead?.() ?? 0)) };
  const identifyPeer = createIdentifyPeer({
    certificates,
    shutOut,
    trustDomain: options.trustDomain ?? trustDomain,
    clock: peerClock,
    newRequestId: () => 'test',
  });
  const { Subscribe, ...older } = createTokenService({
    ...options.timing,
    shutOut,
    identifyPeer,
    getAccessToken: async (caller, request) => {
      const call = { ...request, spiffeId: caller.spiffeId, serial: caller.certificateSerial };
      calls.push(call);
      return script(call);
    },
    recordLogin: async () => {},
    watchChannels: { watch },
    identityClock: peerClock,
    onSubscriptionEnded: () => {},
    recordDeniedIdentity: async ({ detail }) => options.onDenied?.(detail),
    newRequestId: () => 'test',
    onAnswered: () => {},
    onFault: () => {},
  });

  const start = async () => {
    const tokenService = options.withoutSubscribe ? older : { ...older, Subscribe };
    const listen = { host: '127.0.0.1', port };
    const shown = { identity: identity.current(), certificates, identifyPeer };
    server = await startGrpcServer({ listen, ...shown, tokenService });
  };
  const stop = async () => {
    for (const subscription of subscriptions) subscription.end();
    await server?.stop(0);
    server = undefined;
  };
  await start();
  atEnd(scope, async () => {
    await stop();
    await identity.stop();
  });
  const answer = (next: TokenScript) => {
    script = next;
  };
  return {
    address: `127.0.0.1:${port}`,
    calls,
    answer,
    shutOut,
    subscriptions,
    subscribed: () => subscribed,
    stand(channel, standing) {
      standings.set(channel, { channel, refusal: undefined, generation: 1, ...standing });
      for (const { channels, watcher } of subscriptions) {
        if (channels.includes(channel)) watcher.update(standingsOf(channels));
      }
    },
    refuseSubscriptions(error) {
      refusal = error;
    },
    start,
    stop,
  };
}

let issued = 0;

/** A token of its own that lives so many seconds. */
export function tokenFor(seconds: number, scopes: readonly string[] = ['upload', 'readonly']): ReleasedToken {
  issued += 1;
  return {
    accessToken: new Secret(`ya29.test-${issued}`),
    expiresAt: new Date(Date.now() + seconds * 1_000),
    scopes,
    youtubeChannelId: 'UC_test',
    generation: 1,
  };
}
