/** The simulated week: whose channels there are, what goes wrong, who really revokes, and when. */
import type { Postgres } from '../../stack/postgres.ts';
import type { Redis } from '../../stack/redis.ts';
import type { Vault } from '../../stack/vault.ts';
import type { FaultRule } from '../fake-google/faults.ts';
import { accountOf, addChannels, addClient } from './many-channels.ts';
import { until } from './poll.ts';
import type { World } from './world.ts';

const minute = 60_000;
const hour = 60 * minute;
const day = 24 * hour;

/** A Monday. Any will do, as long as it is always the same: due times are of the time of day, too. */
export const monday = Date.UTC(2027, 2, 1);
export const weekMs = 7 * day;

export interface WeekChannel {
  readonly id: string;
  readonly account: string;
  readonly oauthClient: string;
  /** Read by a worker, so that its token is refreshed ahead of time; any other is proven once a day. */
  readonly inUse: boolean;
}

/** One thing that goes wrong. */
export interface WeekOutage {
  readonly name: string;
  readonly from: number;
  readonly to: number;
  /** The OAuth client that alone is hit; undefined where all are. */
  readonly oauthClient?: string;
  readonly begin: () => unknown;
  readonly end: () => unknown;
}

/** An owner who takes the consent back at Google. */
export interface WeekRevocation {
  readonly channel: WeekChannel;
  readonly at: number;
}

/** Google calls a grant dead that is not, once. */
export type WeekSlip = WeekRevocation;

const token = { endpoint: 'token', grantType: 'refresh_token' } as const;

/** Three OAuth clients, two regions; some of the channels in use, the others idle. Google replaces the refresh tokens of `shorts` with each use. */
export async function addFleet(world: World): Promise<readonly WeekChannel[]> {
  const fleet: WeekChannel[] = [];
  for (const [oauthClient, each] of [
    ['studio', 2],
    ['archive', 1],
    ['shorts', 1],
  ] as const) {
    const clientId = await addClient(world, oauthClient);
    if (oauthClient === 'shorts') world.google.updateClient(clientId, { rotateRefreshTokens: true });
    for (const region of ['europe', 'asia']) {
      for (const use of ['used', 'idle']) {
        const name = `${oauthClient}-${region}-${use}`;
        const count = use === 'used' ? each : each + 2;
        const ids = await addChannels(world, { name, oauthClient, clientId, count, region });
        fleet.push(
          ...ids.map((id, index) => ({ id, account: accountOf(name, index), oauthClient, inUse: use === 'used' })),
        );
      }
    }
  }
  return fleet;
}

/** The outages, in their order; none overlaps another. */
export function planOutages(
  world: World,
  { vault, postgres, redis }: { readonly vault: Vault; readonly postgres: Postgres; readonly redis: Redis },
): readonly WeekOutage[] {
  /** Instants count from the week's beginning. */
  const outage = (name: string, at: number, ms: number, how: Pick<WeekOutage, 'begin' | 'end'>): WeekOutage => ({
    name,
    from: monday + at,
    to: monday + at + ms,
    ...how,
  });
  const google = (fault: FaultRule['fault'], clientId?: string): Pick<WeekOutage, 'begin' | 'end'> => {
    let handle: ReturnType<World['google']['faults']['add']> | undefined;
    const where = { ...token, ...(clientId && { clientId }) };
    return {
      begin: () => {
        handle = world.google.faults.add({ fault, where, times: 'always' });
      },
      end: () => handle?.clear(),
    };
  };
  /** In real time: connections come back by timers of their own. */
  const well = (dependency: string) =>
    until(`${dependency} is well`, async () => {
      const ready = await (await fetch(`${world.broker.operationsUrl}/readyz`)).json();
      return (ready as { checks: Record<string, string> }).checks[dependency] === 'ok';
    });

  return [
    outage('Google answers 503', 9 * hour, 25 * minute, google({ kind: 'status', status: 503 })),
    {
      ...outage(
        '`invalid_client` for `archive`',
        day,
        day,
        google({ kind: 'error', error: 'invalid_client' }, 'archive.apps.example'),
      ),
      oauthClient: 'archive',
    },
    outage(
      'Google answers 429',
      2 * day + 14 * hour,
      25 * minute,
      google({ kind: 'status', status: 429, retryAfter: 20 }),
    ),
    outage('Vault is sealed', 3 * day + 3 * hour, 25 * minute, {
      begin: vault.seal,
      end: () => vault.unseal().then(() => well('vault')),
    }),
    outage('Redis is lost', 4 * day + 5 * hour, 6 * hour, {
      begin: redis.stop,
      end: () => redis.start().then(() => well('cache')),
    }),
    outage('PostgreSQL fails over', 5 * day + 10 * hour, 5 * minute, {
      begin: postgres.halt,
      end: () => postgres.start().then(() => well('database')),
    }),
    outage('Google resets connections', 6 * day + 12 * hour, 50 * minute, google({ kind: 'reset' })),
  ];
}

/** Owners who really revoke: on a quiet day, in each kind of outage, of channels in use and of idle ones. */
export function planRevocations(fleet: readonly WeekChannel[]): readonly WeekRevocation[] {
  const revoked = (account: string, at: number) => ({ channel: owned(fleet, account), at: monday + at });
  return [
    revoked('studio-europe-used-0@example.com', 4 * hour),
    revoked('shorts-asia-used-0@example.com', 9 * hour + 5 * minute),
    revoked('archive-europe-used-0@example.com', day + 12 * hour),
    revoked('archive-asia-idle-0@example.com', day + 13 * hour),
    revoked('studio-asia-idle-0@example.com', 2 * day + 14 * hour + 5 * minute),
    revoked('studio-asia-idle-1@example.com', 3 * day + 3 * hour + 5 * minute),
    revoked('studio-asia-used-0@example.com', 5 * day + 10 * hour + 2 * minute),
    revoked('shorts-europe-idle-0@example.com', 5 * day + 18 * hour),
  ];
}

export function planSlips(fleet: readonly WeekChannel[]): readonly WeekSlip[] {
  const slip = (account: string, at: number) => ({ channel: owned(fleet, account), at: monday + at });
  return [
    slip('studio-europe-used-1@example.com', 20 * hour),
    slip('archive-asia-used-0@example.com', 3 * day + 16 * hour),
    slip('shorts-asia-idle-1@example.com', 4 * day),
  ];
}

function owned(fleet: readonly WeekChannel[], account: string): WeekChannel {
  const channel = fleet.find((one) => one.account === account);
  if (!channel) throw new Error(`${account} owns no channel of the week`);
  return channel;
}
