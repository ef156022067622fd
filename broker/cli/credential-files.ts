import { chmod, mkdir, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Secret } from '../domain/secret.ts';

/**
 * Writes an AppRole credential as `role-id` and `secret-id` into a folder, readable for its owner only. Each file appears
 * whole or not at all: a running sidecar may be reading it. The secret id comes last, when all else is in place.
 */
export async function writeCredential(
  folder: string,
  credential: { readonly roleId: string; readonly secretId: Secret<string> },
): Promise<{ readonly roleIdFile: string; readonly secretIdFile: string }> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const roleIdFile = join(folder, 'role-id');
  const secretIdFile = join(folder, 'secret-id');
  await replaceFile(roleIdFile, credential.roleId);
  await replaceFile(secretIdFile, credential.secretId.reveal());
  return { roleIdFile, secretIdFile };
}

/** The same where the secret id comes wrapped, as `role-id` and `wrapped-secret-id`. */
export async function writeWrappedCredential(
  folder: string,
  credential: { readonly roleId: string; readonly wrappingToken: Secret<string> },
): Promise<{ readonly roleIdFile: string; readonly wrappedSecretIdFile: string }> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const roleIdFile = join(folder, 'role-id');
  const wrappedSecretIdFile = join(folder, 'wrapped-secret-id');
  await replaceFile(roleIdFile, credential.roleId);
  await replaceFile(wrappedSecretIdFile, credential.wrappingToken.reveal());
  return { roleIdFile, wrappedSecretIdFile };
}

async function replaceFile(path: string, content: string): Promise<void> {
  const temporary = `${path}.new`;
  await writeFile(temporary, content, { mode: 0o600 });
  // A file left by an earlier run keeps its old mode.
  await chmod(temporary, 0o600);
  await rename(temporary, path);
}
