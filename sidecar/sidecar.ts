/** Puts the sidecar together: certificate → broker → tokens → local interfaces. The only composition root. */
import { createBrokerClient } from './broker-client.ts';
import { startClockWatch } from './clock-watch.ts';
import type { SidecarConfig } from './config.ts';
import { createGceMetadataEndpoint } from './endpoints/gce-metadata.ts';
import { listen } from './endpoints/listen.ts';
import { createNativeEndpoint } from './endpoints/native.ts';
import { createHealthEndpoint } from './health.ts';
import type { Log } from './log.ts';
import { createSubscription } from './subscription.ts';
import { createSvidIssuer } from './svid-issuer.ts';
import { startSvidSource } from './svid-source.ts';
import { createTokenSource } from './token-source.ts';
import { createVaultLogin } from './vault/login/approle.ts';
import { createVaultRequest } from './vault/request.ts';
import { createBundleReader } from './vault/trust-bundle.ts';

/** What the sidecar takes from its surroundings. */
export interface SidecarDependencies {
  readonly log: Log;
  /** Milliseconds since 1970; the system's clock by default. */
  readonly now?: () => number;
  /** From 0 up to 1; `Math.random` by default: it only spreads moments. */
  readonly random?: () => number;
  /** Milliseconds by a clock that cannot be set; `performance.now` by default. */
  readonly steady?: () => number;
}

/** A sidecar that runs. */
export interface Sidecar {
  /** The native interface, `http://127.0.0.1:PORT`. */
  readonly url: string;
  /** Channel id -> the GCE metadata server that speaks for it. */
  readonly gceUrls: ReadonlyMap<string, string>;
  /** `/livez` and `/readyz`. */
  readonly operationsUrl: string;
  /** Makes a new certificate now; throws IdentityError where that fails, and the old one stays in use. */
  rotate(): Promise<void>;
  /** Lets requests on their way end, closes everything, and forgets keys and tokens. */
  stop(): Promise<void>;
}

/**
 * Starts a sidecar. Resolves when its local interfaces answer; until the first certificate is there they say STARTING,
 * and `/readyz` says what is in the way.
 *
 * @throws Error when an address cannot be had; everything opened before is closed again.
 */
export async function startSidecar(config: SidecarConfig, dependencies: SidecarDependencies): Promise<Sidecar> {
  const { log, now = Date.now, random = Math.random, steady = performance.now.bind(performance) } = dependencies;
  const channels = [...config.gceChannels.keys()];
  const closers: (() => Promise<void> | void)[] = [];
  const stop = async () => {
    for (const close of closers.splice(0).reverse()) await close();
  };

  try {
    const broker = createBrokerClient({ ...config.broker, now });
    closers.push(broker.close);

    const vault = createVaultRequest(config.vault);
    const login = createVaultLogin(vault, config.appRole);
    const { mount: pkiMount, role: pkiRole } = config.pki;
    const issue = createSvidIssuer({ vault, login, pkiMount, pkiRole, spiffeId: config.spiffeId, now });
    const svids = startSvidSource({
      issue,
      readBundle: createBundleReader(vault, pkiMount),
      onRotation: broker.use,
      log,
      now,
      random,
    });
    closers.push(svids.stop);

    const subscription = createSubscription({ broker, onStatus: (told) => tokens.hear(told), log, now, random });
    const onChannels = (held: readonly string[]) => subscription.want([...channels, ...held]);
    const tokens = createTokenSource({ broker, log, now, random, ...config.unheard, onChannels });
    closers.push(tokens.stop, subscription.stop);
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
    const health = createHealthEndpoint({ svids, broker, tokens, subscription, patienceMs, channels, now });
    const operations = await listen(config.operationsListen, health);
    closers.push(operations.close);

    const gceUrls = new Map<string, string>();
    for (const [channelId, port] of config.gceChannels) {
      const email = `${channelId}@${config.spiffeId.trustDomain}`;
      const endpoint = createGceMetadataEndpoint({ channelId, email, tokens, log, now });
      const gce = await listen({ host: config.listen.host, port }, endpoint);
      closers.push(gce.close);
      gceUrls.set(channelId, gce.url);
    }

    const native = await listen(config.listen, createNativeEndpoint({ tokens, log, now }));
    closers.push(native.close);

    return {
      url: native.url,
      gceUrls,
      operationsUrl: operations.url,
      rotate: async () => void (await svids.rotate()),
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}
