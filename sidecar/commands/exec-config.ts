/** What a sidecar that is there for one worker need not be told: its ports, who asks, and where its credential files go. */
import { chmod, mkdtemp, rm, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { DEFAULT_CALLERS } from '../callers/allow-list.ts';
import { type Environment, loadConfig, type SidecarConfig } from '../config.ts';

export interface WorkerWish {
  /** The channel that Google's libraries find without being told. */
  readonly channel?: string;
  readonly uid?: number;
  readonly gid?: number;
}

/** Of `statfs`, as Linux numbers it. */
const TMPFS = 0x01021994;

/**
 * Reads the settings, with free ports where none is named, a port for the channel of the command line, and a credential
 * file for each channel, in a folder of its own on a tmpfs. `remove` takes that folder away.
 *
 * @throws ConfigError
 */
export async function configForWorker(
  environment: Environment,
  { channel, uid, gid }: WorkerWish,
): Promise<{ readonly config: SidecarConfig; remove(): Promise<void> }> {
  const config = loadConfig({
    SIDECAR_LISTEN: '127.0.0.1:0',
    SIDECAR_OPERATIONS_LISTEN: '127.0.0.1:0',
    ...(uid === undefined ? {} : { SIDECAR_CALLERS: `${DEFAULT_CALLERS}|uid:${uid}` }),
    ...environment,
  });
  const added: [string, number][] = channel === undefined || config.gceChannels.has(channel) ? [] : [[channel, 0]];
  const gceChannels = new Map([...config.gceChannels, ...added]);
  const named = environment.SIDECAR_CREDENTIAL_FOLDER;
  const made = named === undefined ? await folderInMemory(environment, uid !== undefined) : undefined;
  const folder = named ?? made;
  const channels = new Set([...config.credentialFiles.channels, ...gceChannels.keys()]);
  return {
    config: {
      ...config,
      gceChannels,
      credentialFiles: {
        ...config.credentialFiles,
        ...(folder === undefined ? {} : { folder, channels: [...channels] }),
        owner: config.credentialFiles.owner ?? (uid === undefined ? undefined : { uid, gid: gid ?? uid }),
      },
    },
    remove: async () => {
      if (made !== undefined) await rm(made, { recursive: true, force: true });
    },
  };
}

/** The channel whose tokens Google's libraries find; undefined where there are several and none was named. */
export function channelOf({ gceChannels }: SidecarConfig, { channel }: WorkerWish): string | undefined {
  return channel ?? (gceChannels.size === 1 ? [...gceChannels.keys()][0] : undefined);
}

/** Makes a folder that others may pass through, where the worker is another user; undefined without a tmpfs. */
async function folderInMemory(environment: Environment, forAnother: boolean): Promise<string | undefined> {
  for (const place of [environment.XDG_RUNTIME_DIR, '/dev/shm', '/run']) {
    if (!place) continue;
    try {
      if ((await statfs(place)).type !== TMPFS) continue;
      const folder = await mkdtemp(join(place, 'token-sidecar-'));
      if (forAnother) await chmod(folder, 0o711);
      return folder;
    } catch {
      // Not there, or not ours to write to: the next one.
    }
  }
  return undefined;
}
