import { z } from 'zod';
import { Secret } from '../domain/secret.ts';
import { BrokerError } from '../errors.ts';
import type { OAuthClientSecrets } from '../ports.ts';
import type { VaultConnection } from './connection.ts';
import { vaultName } from './name.ts';
import { vaultFailureOf } from './vault-failure.ts';

const stored = z.object({
  data: z.object({ client_secret: z.string().trim().min(1) }),
  metadata: z.object({ version: z.number().int().positive() }),
});

/**
 * OAuth clients' secrets: the field `client_secret` of `KV/data/NAME`. An operator replaces one with `vault kv put`;
 * the version before it is answered second, until it is deleted, so that a change at Google and one in Vault need not
 * fall in the same second.
 */
export function createOAuthClientSecrets(deps: {
  readonly vault: VaultConnection;
  readonly kv: string;
}): OAuthClientSecrets {
  const { vault, kv } = deps;
  const pathOf = (oauthClient: string) => `${kv}/data/${vaultName(oauthClient)}`;
  const secretOf = (entry: z.infer<typeof stored>) => new Secret(entry.data.client_secret);

  return {
    async read(oauthClient) {
      const path = pathOf(oauthClient);
      const newest = await vault.find(path, stored);
      if (!newest) throw new BrokerError('OAUTH_CLIENT_NOT_FOUND', { detail: `no secret at ${path}` });
      const { version } = newest.metadata;
      const former = version > 1 ? await vault.find(`${path}?version=${version - 1}`, stored) : undefined;
      return former ? [secretOf(newest), secretOf(former)] : [secretOf(newest)];
    },

    async create(oauthClient, secret) {
      const path = pathOf(oauthClient);
      if (await vault.find(path, stored)) throw new BrokerError('ALREADY_EXISTS', { detail: path });
      try {
        await vault.write(path, { options: { cas: 0 }, data: { client_secret: secret.reveal() } });
      } catch (error) {
        // Check-and-set fails with 400; so may a policy that lets the broker create but not overwrite, with 403.
        const kind = vaultFailureOf(error)?.kind;
        const isTaken = (kind === 'bad_request' || kind === 'forbidden') && (await vault.find(path, stored));
        throw isTaken ? new BrokerError('ALREADY_EXISTS', { detail: path, cause: error }) : error;
      }
    },
  };
}
