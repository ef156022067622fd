/** Settings of how the sidecar logs in to Vault. One chooses the method; each method has its own. */
import * as z from 'zod';
import type { LoginConfig, SecretIdPlace } from '../vault/login.ts';
import { filePath, mount } from './formats.ts';

const methods = ['approle', 'kubernetes', 'jwt', 'cert', 'token'] as const;
type Method = (typeof methods)[number];

const role = z.string().regex(/^[A-Za-z0-9_-][A-Za-z0-9_.-]*$/, 'is not a name of a role');

export const vaultLoginSettings = z.strictObject({
  SIDECAR_VAULT_AUTH: z
    .enum(methods, { error: `is not one of ${methods.join(', ')}` })
    .default('approle')
    .describe('How the sidecar logs in to Vault: approle, kubernetes, jwt, cert or token.'),
  SIDECAR_VAULT_AUTH_MOUNT: mount
    .optional()
    .describe('Where that login is mounted; by default approle, and METHOD-workloads for kubernetes, jwt and cert.'),
  SIDECAR_VAULT_ROLE: role.optional().describe('The login’s role in Vault. For kubernetes, jwt and cert.'),
  SIDECAR_VAULT_ROLE_ID_FILE: filePath.optional().describe('The file with the AppRole role id. For approle.'),
  SIDECAR_VAULT_SECRET_ID_FILE: filePath.optional().describe('The file with the AppRole secret id. For approle.'),
  SIDECAR_VAULT_WRAPPED_SECRET_ID_FILE: filePath
    .optional()
    .describe('In its place: the file with a wrapping token that opens the secret id, once. For approle.'),
  SIDECAR_VAULT_SECRET_ID_KEPT_IN: filePath
    .optional()
    .describe(
      'Where the opened secret id is kept for a restart, best on a tmpfs; by default in memory only. For approle with a wrapped secret id.',
    ),
  SIDECAR_VAULT_JWT_FILE: filePath
    .optional()
    .describe(
      'The file with the service account’s token, projected for Vault as its audience. For kubernetes and jwt.',
    ),
  SIDECAR_VAULT_CLIENT_CERT_FILE: filePath
    .optional()
    .describe('A PEM file with the TLS client certificate and its intermediates. For cert.'),
  SIDECAR_VAULT_CLIENT_KEY_FILE: filePath.optional().describe('A PEM file with its private key. For cert.'),
  SIDECAR_VAULT_TOKEN_FILE: filePath
    .optional()
    .describe('The file with a Vault token that another program keeps fresh. For token.'),
});

type Settings = z.output<typeof vaultLoginSettings>;
type Name = keyof Settings;

const needs: Readonly<Record<Method, readonly Name[]>> = {
  approle: ['SIDECAR_VAULT_ROLE_ID_FILE'],
  kubernetes: ['SIDECAR_VAULT_ROLE', 'SIDECAR_VAULT_JWT_FILE'],
  jwt: ['SIDECAR_VAULT_ROLE', 'SIDECAR_VAULT_JWT_FILE'],
  cert: ['SIDECAR_VAULT_ROLE', 'SIDECAR_VAULT_CLIENT_CERT_FILE', 'SIDECAR_VAULT_CLIENT_KEY_FILE'],
  token: ['SIDECAR_VAULT_TOKEN_FILE'],
};
const secretId: readonly Name[] = ['SIDECAR_VAULT_SECRET_ID_FILE', 'SIDECAR_VAULT_WRAPPED_SECRET_ID_FILE'];
const general: readonly Name[] = ['SIDECAR_VAULT_AUTH', 'SIDECAR_VAULT_AUTH_MOUNT'];

/** Says what is missing for the method, and what is set for another, one sentence each. */
export function loginConflicts(environment: Readonly<Record<string, string | undefined>>): readonly string[] {
  const has = (name: Name) => environment[name] !== undefined;
  const wanted = environment.SIDECAR_VAULT_AUTH ?? 'approle';
  const method = methods.find((known) => known === wanted);
  if (!method) return [];
  const problems = needs[method].filter((name) => !has(name)).map((name) => `${name} is not set`);
  const mine = new Set<Name>([...general, ...needs[method]]);
  if (method === 'approle') {
    for (const name of [...secretId, 'SIDECAR_VAULT_SECRET_ID_KEPT_IN' as const]) mine.add(name);
    const given = secretId.filter(has);
    if (given.length === 0) problems.push(`neither ${secretId.join(' nor ')} is set`);
    if (given.length === 2) problems.push(`${secretId.join(' and ')} are both set; one of them is enough`);
    if (has('SIDECAR_VAULT_SECRET_ID_KEPT_IN') && !has('SIDECAR_VAULT_WRAPPED_SECRET_ID_FILE'))
      problems.push('SIDECAR_VAULT_SECRET_ID_KEPT_IN is set without SIDECAR_VAULT_WRAPPED_SECRET_ID_FILE');
  }
  if (method === 'token' && has('SIDECAR_VAULT_AUTH_MOUNT')) mine.delete('SIDECAR_VAULT_AUTH_MOUNT');
  for (const name of vaultLoginSettings.keyof().options)
    if (has(name) && !mine.has(name)) problems.push(`${name} is not for SIDECAR_VAULT_AUTH=${method}`);
  if (method === 'cert' && environment.VAULT_ADDR?.startsWith('http:'))
    problems.push('VAULT_ADDR is not https, which SIDECAR_VAULT_AUTH=cert needs');
  return problems;
}

/** What the settings say together, where there are no conflicts. */
export function loginOf(set: Settings): LoginConfig {
  const {
    SIDECAR_VAULT_AUTH: method,
    SIDECAR_VAULT_AUTH_MOUNT: mount = method === 'approle' ? 'approle' : `${method}-workloads`,
    SIDECAR_VAULT_ROLE: role = '',
    SIDECAR_VAULT_JWT_FILE: jwtFile = '',
    SIDECAR_VAULT_ROLE_ID_FILE: roleIdFile = '',
    SIDECAR_VAULT_CLIENT_CERT_FILE: certificateFile = '',
    SIDECAR_VAULT_CLIENT_KEY_FILE: keyFile = '',
    SIDECAR_VAULT_TOKEN_FILE: tokenFile = '',
  } = set;
  switch (method) {
    case 'approle':
      return { method, mount, roleIdFile, secretId: secretIdPlace(set) };
    case 'cert':
      return { method, mount, role, certificateFile, keyFile };
    case 'token':
      return { method, tokenFile };
    default:
      return { method, mount, role, jwtFile };
  }
}

function secretIdPlace(set: Settings): SecretIdPlace {
  const { SIDECAR_VAULT_WRAPPED_SECRET_ID_FILE: wrappedFile, SIDECAR_VAULT_SECRET_ID_KEPT_IN: keptIn } = set;
  return wrappedFile === undefined ? { file: set.SIDECAR_VAULT_SECRET_ID_FILE ?? '' } : { wrappedFile, keptIn };
}
