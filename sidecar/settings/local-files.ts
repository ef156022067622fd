/** Settings of what the sidecar puts into the file system: its Unix socket and the credential files. */
import * as z from 'zod';
import type { SocketAddress } from '../endpoints/unix-socket.ts';
import { channelIds, filePath } from './formats.ts';

/** Which channels have a credential file, and where. */
export interface CredentialFileSettings {
  readonly folder: string;
  readonly channels: readonly string[];
  readonly mode: number;
  readonly owner: { readonly uid: number; readonly gid: number } | undefined;
}

export interface LocalFilesConfig {
  readonly socket: SocketAddress | undefined;
  readonly credentialFiles: CredentialFileSettings;
}

/** Linux takes 107 bytes and no more. */
const LONGEST_SOCKET_PATH = 107;

const mode = z
  .string()
  .regex(/^0?[0-7]{3}$/, 'is not an octal mode, for example 0660')
  .refine((text) => (Number.parseInt(text, 8) & 0o002) === 0, 'lets everybody write')
  .transform((text) => Number.parseInt(text, 8));
const socketPath = filePath
  .refine((path) => path.startsWith('/'), 'is not an absolute path')
  .refine((path) => Buffer.byteLength(path) <= LONGEST_SOCKET_PATH, `is longer than ${LONGEST_SOCKET_PATH} bytes`);
const owner = z
  .string()
  .regex(/^\d{1,10}:\d{1,10}$/, 'is not UID:GID')
  .transform((text) => {
    const [uid = 0, gid = 0] = text.split(':').map(Number);
    return { uid, gid };
  });

export const localFilesSettings = z.strictObject({
  SIDECAR_SOCKET: socketPath
    .optional()
    .describe('A Unix socket where the native interface is served, beside TCP; an absolute path.'),
  SIDECAR_SOCKET_MODE: mode
    .prefault('0660')
    .describe('The mode of that socket: who may write to it may ask for tokens.'),
  SIDECAR_SOCKET_GROUP: z
    .string()
    .regex(/^[A-Za-z0-9_][A-Za-z0-9_.-]*$/, 'is not a group')
    .optional()
    .describe('The group of that socket, by name or number; the sidecar’s own by default.'),
  SIDECAR_CREDENTIAL_FILES: channelIds
    .prefault('')
    .describe('Channels that get a credential file for Google’s libraries: CHANNEL_ID,…'),
  SIDECAR_CREDENTIAL_FOLDER: filePath
    .prefault('/run/token-broker-sidecar')
    .describe('The folder of these files, CHANNEL_ID.json each; made where it is missing, best on a tmpfs.'),
  SIDECAR_CREDENTIAL_FILE_MODE: mode.prefault('0600').describe('The mode of these files.'),
  SIDECAR_CREDENTIAL_FILE_OWNER: owner
    .optional()
    .describe(
      'Whose these files become, UID:GID; the sidecar’s own by default. Another’s needs the right to give files away.',
    ),
});

/** What the settings say together. */
export function localFilesOf(set: z.output<typeof localFilesSettings>): LocalFilesConfig {
  const path = set.SIDECAR_SOCKET;
  return {
    socket: path === undefined ? undefined : { path, mode: set.SIDECAR_SOCKET_MODE, group: set.SIDECAR_SOCKET_GROUP },
    credentialFiles: {
      folder: set.SIDECAR_CREDENTIAL_FOLDER,
      channels: set.SIDECAR_CREDENTIAL_FILES,
      mode: set.SIDECAR_CREDENTIAL_FILE_MODE,
      owner: set.SIDECAR_CREDENTIAL_FILE_OWNER,
    },
  };
}
