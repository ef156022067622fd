import type { Channel } from '../domain/channel.ts';
import { asBrokerError } from '../errors.ts';
import type { AuthorizationServer, RevocationAnswer, Store, TenantKeys } from '../ports.ts';

/** `unreadable`: there is no grant, or it does not decrypt any more; nothing was sent. */
export type GrantRevocation = RevocationAnswer | 'unreadable';

/**
 * Sends the refresh token that the channel has to Google's revocation endpoint, once. It needs neither the OAuth client's
 * secret nor a DPoP proof, so it works for a client that is switched off, too. Throws where Vault or PostgreSQL is away: then
 * nothing was sent.
 */
export type RevokeGrant = (channel: Channel) => Promise<GrantRevocation>;

export function createRevokeGrant(deps: {
  readonly store: Pick<Store, 'oauthClients'>;
  readonly keys: TenantKeys;
  readonly google: AuthorizationServer;
}): RevokeGrant {
  const { store, keys, google } = deps;

  return async (channel) => {
    const { grant } = channel;
    const client = await store.oauthClients.find(channel.oauthClient);
    if (!grant || !client) return 'unreadable';
    try {
      const place = { tenant: channel.tenant, channel: channel.id, generation: grant.generation };
      const token = await keys.decrypt(place, grant.refreshTokenEncrypted);
      return await google.revoke(client, token);
    } catch (error) {
      // Any other failure passes: then it is tried again.
      if (asBrokerError(error).code !== 'INTERNAL') throw error;
      // Throws where it is the engine that is not there.
      await keys.presence(channel.tenant);
      return 'unreadable';
    }
  };
}
