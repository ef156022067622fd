/** Active channels in numbers, without an owner's clicks: granted by the practice Google, encrypted by Vault, stored. */
import { refreshTokenHash } from '../../broker/domain/identifier.ts';
import { Secret } from '../../broker/domain/secret.ts';
import { createTenantKeys } from '../../broker/vault/tenant-keys.ts';
import { aGrant, anActiveChannel, aRecord } from './store-fixtures.ts';
import { tenant, type World } from './world.ts';

const scope =
  'openid email https://www.googleapis.com/auth/youtube.upload https://www.googleapis.com/auth/youtube.readonly';

/** An OAuth client at the practice Google and in the broker, beside the usual one; answers its `client_id`. */
export async function addClient(world: World, name: string): Promise<string> {
  const clientId = `${name}.apps.example`;
  world.google.addClient({ clientId, clientSecret: `${name}-secret`, redirectUris: [world.broker.redirectUri] });
  const added = { name, client_id: clientId, client_secret: `${name}-secret`, dpop: false };
  await world.api('POST', '/v1/oauth-clients', added);
  return clientId;
}

/**
 * Each of an account of its own, `NAME-N@example.com`, or all of `account`; due at `dueAt`, consented a second apart. Answers their
 * ids, the oldest first.
 */
export async function addChannels(
  world: World,
  given: {
    readonly name: string;
    readonly oauthClient: string;
    readonly clientId: string;
    readonly count: number;
    readonly dueAt?: Date;
    readonly region?: string;
    readonly account?: string;
  },
): Promise<readonly string[]> {
  const { name, oauthClient, clientId, count, region = 'default' } = given;
  const keys = createTenantKeys({ vault: await world.vault.asBroker(), transit: world.vault.layout.mounts.transit });
  const at = new Date(world.google.now());
  const dueAt = given.dueAt ?? new Date(at.getTime() + 1_000);
  // Granted one after the other: Google ends the oldest of too many.
  const grants = Array.from({ length: count }, (_, index) => {
    const email = given.account ?? accountOf(name, index);
    const youtube = { id: `UC${given.account ? name : `${name}${index}`}`, title: `${name} ${index}` };
    if (!given.account || index === 0) world.google.addAccount({ email, channels: [{ ...youtube, kind: 'personal' }] });
    return { youtube, granted: world.google.grant({ clientId, account: email, scope }) };
  });
  const ids = grants.map(
    (_, index) => `ch_${`${name}${index}`.replaceAll(/[^0-9a-z]|[ilou]/g, 'x').padStart(26, '0')}`,
  );
  // A few at a time: on a busy machine the others would wait too long for a connection.
  const left = [...grants.entries()];
  const worker = async () => {
    for (let next = left.shift(); next; next = left.shift()) await create(...next);
  };
  await Promise.all(Array.from({ length: 8 }, worker));
  return ids;

  async function create(index: number, { youtube, granted }: (typeof grants)[number]): Promise<void> {
    const id = ids[index] ?? '';
    const refreshToken = new Secret(granted.refreshToken);
    const grant = aGrant({
      refreshTokenEncrypted: await keys.encrypt({ tenant, channel: id, generation: 1 }, refreshToken),
      refreshTokenHash: refreshTokenHash(refreshToken),
      ...{ dpopKeyVersion: undefined, scopes: scope.split(' '), googleSubject: granted.sub },
      ...{
        youtubeChannelId: youtube.id,
        youtubeTitle: youtube.title,
        consentedAt: new Date(at.getTime() - (count - index) * 1_000),
        refreshDueAt: dueAt,
      },
    });
    const channel = anActiveChannel({ id, tenant, name: `${name}-${index}`, oauthClient, region, grant });
    const dated = { ...channel, requestedScopes: scope.split(' '), createdAt: at, updatedAt: at };
    await world.store.channels.create(dated, aRecord('channel.add', { tenant, channel: id }));
  }
}

export function accountOf(name: string, index: number): string {
  return `${name}-${index}@example.com`;
}
