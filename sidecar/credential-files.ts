/**
 * Credential files for Google's client libraries, one for each channel: the type `external_account_authorized_user`,
 * whose token endpoint is this sidecar. `GOOGLE_APPLICATION_CREDENTIALS` names one, and the worker's code stays as it is.
 * There is no secret of Google's in it: the local secret opens this sidecar on this machine until it stops.
 *
 * A file appears whole or not at all, readable by its owner alone unless a setting says otherwise, and is removed at the
 * stop. It belongs on a tmpfs: what was on a disk can be found there later.
 */
import { randomBytes } from 'node:crypto';
import { type FileHandle, mkdir, open, rename, rm, stat, statfs, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import type { Log } from './log.ts';

/** Of `statfs`: tmpfs and ramfs, as Linux numbers them. */
const IN_MEMORY: ReadonlySet<number> = new Set([0x01021994, 0x858458f6]);
const WRITABLE_BY_ALL = 0o002;

export interface CredentialFileOptions {
  readonly folder: string;
  /** The mode of the files, `0o600` where nothing else is said. */
  readonly mode: number;
  /** Whose the files become; the sidecar's own where nothing is said. */
  readonly owner: { readonly uid: number; readonly gid: number } | undefined;
  readonly log: Log;
}

export interface CredentialFiles {
  /**
   * Writes the file of a channel in place of one that is there, and answers its path.
   *
   * @throws Error in a sentence, when it cannot be written.
   */
  write(channelId: string, tokenUrl: string, secret: string): Promise<string>;
  /** Removes those files that are still ours. */
  remove(): Promise<void>;
}

/** Where the file of a channel is. */
export function credentialFilePath(folder: string, channelId: string): string {
  return join(folder, `${channelId}.json`);
}

/** What is in it. Each of the libraries insists on `refresh_token`; it is the channel's id here and no secret. */
export function credentialFileText(channelId: string, tokenUrl: string, secret: string): string {
  const content = {
    type: 'external_account_authorized_user',
    audience: '//iam.googleapis.com/locations/global/workforcePools/token-broker/providers/sidecar',
    client_id: channelId,
    client_secret: secret,
    refresh_token: channelId,
    token_url: tokenUrl,
  };
  return `${JSON.stringify(content, undefined, 2)}\n`;
}

export function createCredentialFiles({ folder, mode, owner, log }: CredentialFileOptions): CredentialFiles {
  /** path → the inode that we put there */
  const written = new Map<string, number>();

  const prepare = async (): Promise<void> => {
    // Others may pass through it to a file that is theirs, and may not list it.
    await mkdir(folder, { recursive: true, mode: 0o711 });
    const { mode: folderMode } = await stat(folder);
    if (folderMode & WRITABLE_BY_ALL)
      throw new Error('everybody may write there; give the sidecar a folder of its own');
    if (written.size === 0 && !IN_MEMORY.has((await statfs(folder)).type))
      log.warn({ folder }, 'the credential files are on a disk; name a folder on a tmpfs, for example below /run');
  };

  return {
    async write(channelId, tokenUrl, secret) {
      const path = credentialFilePath(folder, channelId);
      try {
        await prepare();
        const part = join(folder, `.${channelId}.${randomBytes(6).toString('hex')}.part`);
        const file = await open(part, 'wx', 0o600);
        try {
          const inode = await fill(file, credentialFileText(channelId, tokenUrl, secret));
          await rename(part, path);
          written.set(path, inode);
        } catch (error) {
          await rm(part, { force: true });
          throw error;
        } finally {
          await file.close();
        }
      } catch (cause) {
        const why = cause instanceof Error ? cause.message : String(cause);
        throw new Error(`cannot write the credential file ${path}: ${why}`, { cause });
      }
      return path;
    },
    async remove() {
      for (const [path, inode] of written) {
        const now = await stat(path).catch(() => undefined);
        // Another sidecar may have been started in our place meanwhile.
        if (now?.ino === inode) await unlink(path).catch(() => undefined);
      }
      written.clear();
    },
  };

  async function fill(file: FileHandle, text: string): Promise<number> {
    await file.writeFile(text);
    // The owner first: after that, whoever may read it is decided.
    if (owner) await file.chown(owner.uid, owner.gid);
    await file.chmod(mode);
    return (await file.stat()).ino;
  }
}
