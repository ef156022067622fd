/** Puts the sidecar together: certificate → broker → tokens → callers → local interfaces. The only composition root. */
import { createAdminEndpoint } from './admin/endpoint.ts';
import { createBrokerClient } from './broker-client.ts';
import { startClockWatch } from './clock-watch.ts';
import type { SidecarConfig } from './config.ts';
import { createDrain } from './drain.ts';
import { isLoopback, listen } from './endpoints/listen.ts';
import { listenOnSocket } from './endpoints/unix-socket.ts';
import { type LocalInterfaces, startLocalInterfaces } from './local-interfaces.ts';
import type { Log } from './log.ts';
import { createOperationsEndpoint } from './operations/endpoint.ts';
import { createHealth, type Health } from './operations/health.ts';
import { createMetrics } from './operations/metrics.ts';
import { observedBroker, observedStep } from './operations/observed.ts';
import { createSubscription } from './subscription.ts';
import { createSvidIssuer } from './svid-issuer.ts';
import { startSvidSource } from './svid-source.ts';
import { createTokenSource } from './token-source.ts';
import { createVaultLogin } from './vault/login.ts';
import { createVaultRequest } from './vault/request.ts';
import { createBundleReader } from './vault/trust-bundle.ts';

/** A read ends by itself within the broker's deadline, twice where the first token was void. */
const DRAIN_WITHIN_MS = 5_000;

/** What the sidecar takes from its surroundings. */
export interface SidecarDependencies {
  readonly log: Log;
  /** Takes the lines that tell of each token given away; see `callers/release-log.ts`. */
  readonly writeReleases: (lines: string) => void;
  /** Called when an admin has it stop. */
  readonly quit?: () => void;
  /** Milliseconds since 1970; the system's clock by default. */
  readonly now?: () => number;
  /** From 0 up to 1; `Math.random` by default: it only spreads moments. */
  readonly random?: () => number;
  /** Milliseconds by a clock that cannot be set; `performance.now` by default. */
  readonly steady?: () => number;
}

/** A sidecar that runs. */
export interface Sidecar extends LocalInterfaces {
  /** `/livez`, `/readyz`, `/startupz` and `/metrics`. */
  readonly operationsUrl: string;
  readonly health: Health;
  /** Makes a new certificate now; throws IdentityError where that fails, and the old one stays in use. */
  rotate(): Promise<void>;
  /**
   * Has a token of the channel in memory before anybody asks.
   *
   * @throws SidecarError as a reader would hear it.
   */
  fetchAhead(channelId: string): Promise<void>;
  /** Refuses new requests, lets those on their way end, closes everything, and forgets keys and tokens. */
  stop(): Promise<void>;
}

/**
 * Starts a sidecar. Resolves when its local interfaces answer; until the first certificate is there they say STARTING,
 * and `/readyz` says what is in the way.
 *
 * @throws Error when an address cannot be had; everything opened before is closed again.
 */
export async function startSidecar(config: SidecarConfig, dependencies: SidecarDependencies): Promise<Sidecar> {
  const {
    log,
    writeReleases,
    quit = () => {},
    now = Date.now,
    random = Math.random,
    steady = performance.now.bind(performance),
  } = dependencies;
  const channels = [...config.gceChannels.keys()];
  const closers: (() => Promise<void> | void)[] = [];
  const stop = async () => {
    for (const close of closers.splice(0).reverse()) await close();
  };

  try {
    const metrics = createMetrics(now);
    const broker = observedBroker(createBrokerClient({ ...config.broker, now }), metrics);
    closers.push(broker.close);

    const vault = createVaultRequest(config.vault);
    const login = observedStep(createVaultLogin(vault, config.login, { log, now }), metrics.loggedIn);
    const { mount: pkiMount, role: pkiRole } = config.pki;
    const issuer = createSvidIssuer({ vault, login, pkiMount, pkiRole, spiffeId: config.spiffeId, now });
    const svids = startSvidSource({
      issue: observedStep(issuer, metrics.rotated),
      readBundle: createBundleReader(vault, pkiMount),
      onRotation: broker.use,
      log,
      now,
      random,
    });
    closers.push(svids.stop);

    const subscription = createSubscription({ broker, onStatus: (told) => source.hear(told), log, now, random });
    const onChannels = (held: readonly string[]) => subscription.want([...channels, ...held]);
    const source = createTokenSource({ broker, log, now, random, ...config.unheard, onChannels });
    closers.push(source.stop, subscription.stop);
    const drain = createDrain(source);
    const { tokens, draining } = drain;
    broker.onMove(subscription.renew);
    onChannels([]);

    const watch = startClockWatch({
      now,
      steady,
      onJump(ms) {
        log.warn({ seconds: Math.round(ms / 1_000) }, 'the clock jumped or the machine slept; all is looked at anew');
        tokens.doubt();
        svids.revalidate();
      },
    });
    closers.push(watch.stop);

    const { patienceMs } = config.unheard;
    const health = createHealth({ svids, broker, tokens, subscription, draining, patienceMs, channels, now });
    metrics.watch({
      svidEnds: () => svids.current()?.notAfter.getTime(),
      channels: source.list,
      silence: subscription.silence,
    });
    const isLocal = isLoopback(config.operationsListen);
    const operationsEndpoint = createOperationsEndpoint({ health, metrics, local: isLocal });
    const operations = await listen(config.operationsListen, operationsEndpoint);
    closers.push(operations.close);

    const local = await startLocalInterfaces(config, { tokens, writeReleases, observer: metrics, log, now, steady });
    closers.push(local.stop);

    if (config.adminSocket !== undefined) {
      const admin = createAdminEndpoint({ health, svids, tokens: source, quit, log });
      const socket = { path: config.adminSocket, mode: 0o600, group: undefined };
      closers.push((await listenOnSocket(socket, () => admin)).close);
    }

    return {
      ...local,
      operationsUrl: operations.url,
      health,
      rotate: async () => void (await svids.rotate()),
      fetchAhead: async (channelId) => void (await tokens.read({ channelId, minTtlSeconds: 0, scopes: [] })),
      async stop() {
        await drain.begin(DRAIN_WITHIN_MS);
        await stop();
      },
    };
  } catch (error) {
    await stop();
    throw error;
  }
}
