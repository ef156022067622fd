/**
 * Finds the identity token (a JWT) of whoever runs the command: in the file that BROKER_TOKEN_FILE names, else Vault
 * signs one for their Vault login (`GET identity/oidc/token/ROLE`). Neither is ever written anywhere.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { CliConfig } from '../config.ts';
import { Secret } from '../domain/secret.ts';
import { CliError, exitCodes } from './cli-error.ts';
import { callJson } from './json-call.ts';

const logIn =
  'Log in to Vault with `vault login` and set VAULT_ADDR, or name a file with an identity token in BROKER_TOKEN_FILE.';

/** @param home the home directory, where `vault login` leaves `.vault-token`. */
export async function findIdentityToken(config: CliConfig, home: string): Promise<Secret<string>> {
  if (config.tokenFile !== undefined) return readTokenFile(config.tokenFile);
  const { address, namespace } = config.vault;
  const login = config.vault.token ?? (await readVaultLogin(home));
  if (address === undefined || login === undefined) {
    throw new CliError('You are not signed in.', {
      exitCode: exitCodes.failed,
      code: 'UNAUTHENTICATED',
      hints: [logIn],
    });
  }
  const { status, body } = await callJson(
    'Vault',
    `${address.replace(/\/$/, '')}/v1/identity/oidc/token/${config.identityRole}`,
    {
      headers: {
        'X-Vault-Token': login.reveal(),
        'X-Vault-Request': 'true',
        ...(namespace !== undefined && { 'X-Vault-Namespace': namespace }),
      },
    },
  );
  const token = tokenOf(body);
  if (status === 200 && token !== undefined) return new Secret(token);
  throw vaultRefusal(status, config.identityRole);
}

async function readTokenFile(path: string): Promise<Secret<string>> {
  try {
    return new Secret((await readFile(path, 'utf8')).trim());
  } catch (cause) {
    const message = `The file that BROKER_TOKEN_FILE names cannot be read: ${path}`;
    throw new CliError(message, { exitCode: exitCodes.failed, code: 'UNAUTHENTICATED', hints: [logIn], cause });
  }
}

async function readVaultLogin(home: string): Promise<Secret<string> | undefined> {
  try {
    const token = (await readFile(join(home, '.vault-token'), 'utf8')).trim();
    return token === '' ? undefined : new Secret(token);
  } catch {
    return undefined;
  }
}

function tokenOf(body: unknown): string | undefined {
  const data = body instanceof Object && 'data' in body ? body.data : undefined;
  return data instanceof Object && 'token' in data && typeof data.token === 'string' ? data.token : undefined;
}

function vaultRefusal(status: number, role: string): CliError {
  if (status === 403) {
    return new CliError('Vault does not sign an identity for your login.', {
      exitCode: exitCodes.failed,
      code: 'UNAUTHENTICATED',
      hints: [`Log in again with \`vault login\`, or ask for a policy that may read identity/oidc/token/${role}.`],
    });
  }
  return new CliError(`Vault does not give an identity token (HTTP ${status}).`, {
    exitCode: status >= 500 ? exitCodes.unavailable : exitCodes.failed,
    code: status >= 500 ? 'VAULT_UNAVAILABLE' : 'UNAUTHENTICATED',
    hints: [`\`vault read identity/oidc/token/${role}\` shows the cause; \`broker vault bootstrap\` makes the role.`],
  });
}
