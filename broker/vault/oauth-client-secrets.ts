import { z } from 'zod';
import { Secret } from '../domain/secret.ts';
import { BrokerError } from '../errors.ts';
import type { ClientSecret, Clock, OAuthClientSecrets } from '../ports.ts';
import type { VaultConnection } from './connection.ts';
import { vaultName } from './name.ts';
import { vaultFailureOf } from './vault-failure.ts';

const stored = z.object({
  data: z.object({ client_secret: z.string().trim().min(1) }),
  metadata: z.object({ version: z.number().int().positive(), created_time: z.coerce.date() }),
});
const written = z.object({ version: z.number().int().positive() });

/** So long a secret is remembered; other replicas notice a change after this, at the latest. */
const rememberMs = 30_000;
/** Where Google refuses what is remembered, Vault is asked at once, but not more often than this for one client. */
const renewEveryMs = 5_000;
/** Former secrets that are still tried. */
const mostFormer = 2;
/** KV keeps ten versions of an entry where nobody has said otherwise. */
const keptVersions = 10;

interface Remembered {
  readonly newest: Promise<ClientSecret>;
  former: Promise<readonly ClientSecret[]> | undefined;
  readonly readAt: number;
}

/**
 * OAuth clients' secrets: the field `client_secret` of `KV/data/NAME`, one KV version for each. The newest comes first;
 * the versions before it are former ones, newest first, up to the first that was deleted, at most two. They are read
 * only where the newest does not do.
 *
 * What was read is remembered for half a minute, one read for all who ask. Nothing older is used while Vault is away:
 * a refresh needs Vault for its decryption before it needs the secret, so an old secret would save none; and a code
 * redeemed with one would bring a refresh token that nobody can encrypt.
 */
export function createOAuthClientSecrets(deps: {
  readonly vault: VaultConnection;
  readonly kv: string;
  readonly clock: Clock;
}): OAuthClientSecrets {
  const { vault, kv, clock } = deps;
  const remembered = new Map<string, Remembered>();
  /** OAuth client → when Vault was last asked because Google refused what was remembered */
  const renewedAt = new Map<string, number>();

  const pathOf = (oauthClient: string) => `${kv}/data/${vaultName(oauthClient)}`;
  const secretOf = ({ data, metadata }: z.infer<typeof stored>): ClientSecret => ({
    version: metadata.version,
    secret: new Secret(data.client_secret),
    createdAt: metadata.created_time,
  });

  async function readNewest(oauthClient: string): Promise<ClientSecret> {
    const path = pathOf(oauthClient);
    const newest = await vault.find(path, stored);
    if (!newest) throw new BrokerError('OAUTH_CLIENT_NOT_FOUND', { detail: `no secret at ${path}` });
    return secretOf(newest);
  }

  async function readFormer(oauthClient: string, { version: newest }: ClientSecret): Promise<readonly ClientSecret[]> {
    const former: ClientSecret[] = [];
    while (former.length < Math.min(mostFormer, newest - 1)) {
      const version = newest - 1 - former.length;
      const found = await vault.find(`${pathOf(oauthClient)}?version=${version}`, stored);
      if (!found) break;
      former.push(secretOf(found));
    }
    return former;
  }

  function entryOf(oauthClient: string): Remembered {
    const now = clock.now().getTime();
    const known = remembered.get(oauthClient);
    if (known && now - known.readAt < rememberMs) return known;
    const entry: Remembered = { newest: readNewest(oauthClient), former: undefined, readAt: now };
    remembered.set(oauthClient, entry);
    // A failure is not remembered: the next one who asks tries again.
    entry.newest.catch(() => forget(oauthClient, entry));
    return entry;
  }

  function forget(oauthClient: string, entry: Remembered): void {
    if (remembered.get(oauthClient) === entry) remembered.delete(oauthClient);
  }

  const secrets: OAuthClientSecrets = {
    newest: (oauthClient) => entryOf(oauthClient).newest,

    async former(oauthClient) {
      const entry = entryOf(oauthClient);
      const newest = await entry.newest;
      entry.former ??= readFormer(oauthClient, newest);
      entry.former.catch(() => forget(oauthClient, entry));
      return entry.former;
    },

    async newestAfter(oauthClient, refused) {
      const known = await secrets.newest(oauthClient);
      const now = clock.now().getTime();
      if (known.version !== refused.version) return known;
      if (now - (renewedAt.get(oauthClient) ?? Number.NEGATIVE_INFINITY) < renewEveryMs) return known;
      renewedAt.set(oauthClient, now);
      remembered.delete(oauthClient);
      return secrets.newest(oauthClient);
    },

    async create(oauthClient, secret) {
      const path = pathOf(oauthClient);
      if (await vault.find(path, stored)) throw new BrokerError('ALREADY_EXISTS', { detail: path });
      try {
        await vault.write(path, { options: { cas: 0 }, data: { client_secret: secret.reveal() } });
      } catch (error) {
        // Check-and-set fails with 400.
        const isTaken = vaultFailureOf(error)?.kind === 'bad_request' && (await vault.find(path, stored));
        throw isTaken ? new BrokerError('ALREADY_EXISTS', { detail: path, cause: error }) : error;
      }
      remembered.delete(oauthClient);
    },

    async replace(oauthClient, secret) {
      const { version } = await readNewest(oauthClient);
      const body = { options: { cas: version }, data: { client_secret: secret.reveal() } };
      try {
        const { version: added } = await vault.write(pathOf(oauthClient), body, written);
        return added;
      } catch (error) {
        if (vaultFailureOf(error)?.kind !== 'bad_request') throw error;
        throw new BrokerError('STORE_CONFLICT', { detail: `the secret of ${oauthClient} was replaced`, cause: error });
      } finally {
        remembered.delete(oauthClient);
      }
    },

    async retireFormer(oauthClient, newest) {
      const first = Math.max(1, newest - keptVersions);
      const versions = Array.from({ length: newest - first }, (_, index) => first + index);
      if (versions.length === 0) return;
      await vault.write(`${kv}/delete/${vaultName(oauthClient)}`, { versions });
      remembered.delete(oauthClient);
    },
  };
  return secrets;
}
