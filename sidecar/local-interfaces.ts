/** Opens what workers on this machine ask: metadata ports, the native interface, its Unix socket, credential files. */
import { parseAllowList } from './callers/allow-list.ts';
import { createCallRate } from './callers/call-rate.ts';
import { createCallers } from './callers/callers.ts';
import { createReleaseLog } from './callers/release-log.ts';
import { findersOfThisSystem } from './callers/this-system.ts';
import type { SidecarConfig } from './config.ts';
import { createCredentialFiles } from './credential-files.ts';
import { createDescribeChannels } from './endpoints/channels.ts';
import { answerError, createGceMetadataEndpoint } from './endpoints/gce-metadata.ts';
import { listen } from './endpoints/listen.ts';
import { createNativeEndpoint } from './endpoints/native.ts';
import { oauthTokenPath } from './endpoints/native-request.ts';
import { listenOnSocket } from './endpoints/unix-socket.ts';
import { createLocalSecrets } from './local-secrets.ts';
import type { Log } from './log.ts';
import type { ServingObserver } from './observe.ts';
import type { TokenSource } from './token-source.ts';

/** Where workers find their tokens. */
export interface LocalInterfaces {
  /** The native interface, `http://127.0.0.1:PORT`. */
  readonly url: string;
  /** Channel id -> the GCE metadata server that speaks for it. */
  readonly gceUrls: ReadonlyMap<string, string>;
  /** Channel id -> its credential file. */
  readonly credentialFiles: ReadonlyMap<string, string>;
}

export interface LocalInterfaceParts {
  readonly tokens: TokenSource;
  /** Takes the lines that tell of each token given away; see `callers/release-log.ts`. */
  readonly writeReleases: (lines: string) => void;
  readonly observer: ServingObserver;
  readonly log: Log;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** Milliseconds that only ever grow. */
  readonly steady: () => number;
}

/**
 * Opens them all; `stop` lets requests on their way end and removes what is in the file system.
 *
 * @throws Error when an address, a socket or a file cannot be had; everything opened before is closed again.
 */
export async function startLocalInterfaces(
  config: Pick<SidecarConfig, LocalSettings>,
  { tokens, writeReleases, observer, log, now, steady }: LocalInterfaceParts,
): Promise<LocalInterfaces & { stop(): Promise<void> }> {
  const closers: (() => Promise<void> | void)[] = [];
  const stop = async () => {
    for (const close of closers.splice(0).reverse()) await close();
  };
  try {
    const releases = createReleaseLog({ write: writeReleases, now });
    closers.push(releases.flush);
    const allowList = parseAllowList(config.callers, process.getuid?.() ?? 0);
    const rate = createCallRate(config.requestsPerSecond);
    const finders = findersOfThisSystem(allowList, steady);
    const callers = createCallers({ allowList, rate, ...finders, observer, monotonic: steady });
    const { greet } = callers;
    const parts = { tokens, callers, releases, observer, log, now };

    const gceUrls = new Map<string, string>();
    for (const [channelId, port] of config.gceChannels) {
      const email = `${channelId}@${config.spiffeId.trustDomain}`;
      const endpoint = createGceMetadataEndpoint({ channelId, email, ...parts });
      const gce = await listen({ host: config.listen.host, port }, endpoint, { greet, answerError });
      closers.push(gce.close);
      gceUrls.set(channelId, gce.url);
    }

    const secrets = createLocalSecrets();
    const credentialFiles = new Map<string, string>();
    const describeChannels = createDescribeChannels({ tokens, gceUrls, credentialFiles });
    const nativeEndpoint = createNativeEndpoint({ ...parts, secrets, describeChannels });
    const native = await listen(config.listen, nativeEndpoint, { greet });
    closers.push(native.close);
    if (config.socket) {
      const socket = await listenOnSocket(config.socket, nativeEndpoint, { greet });
      closers.push(socket.close);
    }

    const files = createCredentialFiles({ ...config.credentialFiles, log });
    closers.push(files.remove);
    for (const channelId of config.credentialFiles.channels) {
      const tokenUrl = `${native.url}${oauthTokenPath(channelId)}`;
      credentialFiles.set(channelId, await files.write(channelId, tokenUrl, secrets.of(channelId)));
    }

    const served = new Set([...gceUrls.keys(), ...credentialFiles.keys()]);
    tokens.keep(config.prefetch === '*' ? [...served] : config.prefetch);
    return { url: native.url, gceUrls, credentialFiles, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

type LocalSettings =
  | 'spiffeId'
  | 'listen'
  | 'gceChannels'
  | 'prefetch'
  | 'socket'
  | 'credentialFiles'
  | 'callers'
  | 'requestsPerSecond';
