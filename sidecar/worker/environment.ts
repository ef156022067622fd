/**
 * The environment with which Google's client libraries find a channel's token at the sidecar and nowhere else. Each
 * name is explained in docs/sidecar.md.
 */
import type { Environment } from '../config.ts';

/** Where a worker finds the sidecar. */
export interface WorkerPlaces {
  /** The native interface, `http://127.0.0.1:PORT`. */
  readonly url: string;
  /** The channel that Google's libraries speak for; undefined where the worker names channels itself. */
  readonly channel: string | undefined;
  /** `HOST:PORT` of the channel's metadata server. */
  readonly metadataHost: string | undefined;
  /** The channel's credential file, which comes before a metadata server. */
  readonly credentialFile: string | undefined;
  /** Where each channel’s credential file is, `CHANNEL.json`; undefined where there are none. */
  readonly credentialFolder: string | undefined;
}

/** Changes to an environment: a text sets a name, `undefined` takes it away. */
export type EnvironmentChange = Readonly<Record<string, string | undefined>>;

/** What a worker must never be given: the sidecar's own settings and logins, and what would show its memory. */
const notForWorkers = /^(?:SIDECAR_|VAULT_|BAO_)/;

/** Tells what a worker's environment must be, given the one that it would have. */
export function workerChange(
  { url, channel, metadataHost, credentialFile, credentialFolder }: WorkerPlaces,
  current: Environment,
): EnvironmentChange {
  const libraries = metadataHost !== undefined || credentialFile !== undefined;
  return {
    TOKEN_SIDECAR_URL: url,
    ...(channel === undefined ? {} : { TOKEN_SIDECAR_CHANNEL: channel }),
    ...(credentialFolder === undefined ? {} : { TOKEN_SIDECAR_CREDENTIALS: credentialFolder }),
    ...(metadataHost === undefined
      ? {}
      : {
          GCE_METADATA_HOST: metadataHost,
          GCE_METADATA_IP: metadataHost,
          GCE_METADATA_ROOT: metadataHost,
          METADATA_SERVER_DETECTION: 'assume-present',
          GCE_METADATA_MTLS_MODE: 'none',
        }),
    ...(libraries
      ? {
          GOOGLE_CLOUD_PROJECT: current.GOOGLE_CLOUD_PROJECT || 'no-project',
          CLOUDSDK_CONFIG: '/nonexistent',
          GOOGLE_APPLICATION_CREDENTIALS: credentialFile,
          NO_GCE_CHECK: undefined,
        }
      : {}),
    ...withLoopbackSpared(current, new URL(url).hostname.replace(/^\[|\]$/g, '')),
  };
}

/** The environment of a worker that the sidecar starts: the sidecar's own, changed, and without what is the sidecar's. */
export function environmentOfWorker(current: Environment, change: EnvironmentChange): Record<string, string> {
  const inherited = Object.entries(current).filter(([name]) => !notForWorkers.test(name));
  const all = Object.entries({ ...Object.fromEntries(inherited), ...change });
  return Object.fromEntries(all.filter((entry): entry is [string, string] => entry[1] !== undefined));
}

/** Adds loopback to what a proxy is not asked for; in both spellings, where both are in use, as libraries differ. */
export function withLoopbackSpared(current: Environment, host = '127.0.0.1'): EnvironmentChange {
  const named = [current.NO_PROXY, current.no_proxy].flatMap((list) => list?.split(',') ?? []);
  const names = named.map((name) => name.trim()).filter(Boolean);
  const list = [...new Set([...names, '127.0.0.1', 'localhost', host])].join(',');
  return { NO_PROXY: list, ...(current.no_proxy === undefined ? {} : { no_proxy: list }) };
}

/** Tells whether a list such as `NO_PROXY` keeps requests to 127.0.0.1 from a proxy. */
export function sparesLoopback(environment: Environment): boolean {
  const lists = [environment.no_proxy, environment.NO_PROXY].filter((list) => list !== undefined);
  // Where both are set a library reads one of them, and nobody knows which.
  return (
    lists.length > 0 &&
    lists.every((list) => list.split(',').some((name) => /^(?:\*|127\.0\.0\.1|127\.0\.0\.0\/8)$/.test(name.trim())))
  );
}
