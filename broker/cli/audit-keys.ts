/** What an auditor took from Vault, read from files: the public keys of the checkpoints, and the anchor of a chain. */
import { createPublicKey } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import * as z from 'zod';
import type { Checkpoint, CheckpointKey } from '../domain/audit-checkpoint.ts';
import { parseCheckpoint } from '../domain/audit-export.ts';
import { CliError, exitCodes } from './cli-error.ts';

const vaultKeys = z.object({
  data: z.object({ keys: z.record(z.string().regex(/^\d+$/), z.object({ public_key: z.string() })) }),
});
const vaultEntry = z.object({ data: z.object({ data: z.unknown() }) });
const jwk = z.object({ kty: z.literal('EC'), crv: z.literal('P-256'), x: z.string(), y: z.string() });
const pem = /-----BEGIN PUBLIC KEY-----[\s\S]+?-----END PUBLIC KEY-----/g;

/**
 * Reads `vault read -format=json transit/keys/audit-checkpoint`, or the keys alone as PEM, in the order of their versions from
 * 1 on.
 */
export async function readPublicKeys(path: string): Promise<readonly CheckpointKey[]> {
  const text = await readText(path);
  try {
    return keysIn(text).map(({ version, publicKey }) => ({
      version,
      jwk: jwk.parse(createPublicKey(publicKey).export({ format: 'jwk' })),
    }));
  } catch (cause) {
    throw notOfVault(path, 'vault read -format=json transit/keys/audit-checkpoint', cause);
  }
}

/** Reads `vault kv get -format=json -mount=audit-anchors TENANT`. */
export async function readAnchor(path: string): Promise<Checkpoint> {
  const text = await readText(path);
  try {
    const anchor = parseCheckpoint(vaultEntry.parse(JSON.parse(text)).data.data);
    if (anchor) return anchor;
    throw new Error('no checkpoint');
  } catch (cause) {
    throw notOfVault(path, 'vault kv get -format=json -mount=audit-anchors TENANT', cause);
  }
}

function keysIn(text: string): readonly { readonly version: number; readonly publicKey: string }[] {
  if (!text.trimStart().startsWith('{')) {
    const found = [...text.matchAll(pem)].map(([publicKey], index) => ({ version: index + 1, publicKey }));
    if (found.length === 0) throw new Error('no public key');
    return found;
  }
  const { keys } = vaultKeys.parse(JSON.parse(text)).data;
  return Object.entries(keys).map(([version, key]) => ({ version: Number(version), publicKey: key.public_key }));
}

async function readText(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (cause) {
    throw new CliError(`The file cannot be read: ${path}`, { exitCode: exitCodes.failed, cause });
  }
}

function notOfVault(path: string, command: string, cause: unknown): CliError {
  return new CliError(`The file is not what it has to be: ${path}`, {
    exitCode: exitCodes.failed,
    hints: [`Make it with \`${command}\`.`],
    cause,
  });
}
