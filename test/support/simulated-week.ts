/**
 * A week of the whole product in half a minute: real Vault, PostgreSQL and Redis, the practice Google, and a broker whose
 * clock moves from one due instant to the next. What goes wrong meanwhile is in week-plan.ts, what became of it is read from
 * the audit record by week-report.ts.
 */
import { BrokerError } from '../../broker/errors.ts';
import type { Store } from '../../broker/ports.ts';
import { fromTimestamp } from '../../proto/load.ts';
import { useOwnPostgres } from './postgres.ts';
import { useRedis } from './redis.ts';
import { atEnd, type Scope } from './scope.ts';
import { migratedDatabase } from './store.ts';
import { useOwnVault } from './vault.ts';
import { useSetUpVault } from './vault-set-up.ts';
import { useWebhookReceiver, type WebhookReceiver } from './webhook-receiver.ts';
import {
  addFleet,
  monday,
  planOutages,
  planRevocations,
  planSlips,
  type WeekChannel,
  type WeekOutage,
  type WeekRevocation,
  weekMs,
} from './week-plan.ts';
import { type TestWorkload, useWorkload } from './workload.ts';
import { useWorld, type World } from './world.ts';

const minute = 60_000;
const hour = 60 * minute;
/** What is due and may not go to Google yet is looked at again after this; a broker by itself looks more often. */
const lookAgainMs = minute;
/** And of a client that is in trouble alone, whose channels stay due all the while. */
const lookLaterMs = 5 * minute;
const readEveryMs = 6 * hour;
const deliverEveryMs = hour;

export interface Week {
  readonly world: World;
  readonly fleet: readonly WeekChannel[];
  readonly outages: readonly WeekOutage[];
  readonly revocations: readonly WeekRevocation[];
  readonly webhook: WebhookReceiver;
  /** What a worker was told, read by read. */
  readonly reads: readonly WeekRead[];
  /** How often Google called a grant dead that was not. */
  readonly slips: number;
}

export interface WeekRead {
  readonly at: number;
  readonly channel: string;
  /** When the token that was released ends, or the code of the refusal. */
  readonly told: number | string;
}

interface Act {
  readonly at: number;
  readonly act: () => unknown;
}

/** Lets the week pass. */
export async function runWeek(scope: Scope): Promise<Week> {
  const [vault, postgres, redis, webhook] = await Promise.all([
    useOwnVault(scope),
    useOwnPostgres(scope),
    useRedis(scope),
    useWebhookReceiver(scope),
  ]);
  // The broker stops before what it uses does.
  const inside: Scope = { after: (clean) => atEnd(scope, clean) };
  const world = await useWorld(inside, {
    vault: await useSetUpVault(inside, vault),
    databaseUrl: await migratedDatabase(postgres.url('postgres')),
    redisUrl: redis.url,
    google: { clock: () => monday },
    simulated: true,
    settings: {
      BROKER_ACTIVE_WINDOW: '24h',
      BROKER_LOG_LEVEL: 'warn',
      BROKER_NOTIFICATION_URL: webhook.url,
      BROKER_NOTIFICATION_CACERT: webhook.caFile,
      BROKER_NOTIFICATION_ALLOWED_NETWORKS: '127.0.0.0/8',
    },
  });
  const { google } = world;
  await world.api('POST', '/v1/notification-secrets', { secret: `whsec_${Buffer.alloc(32, 1).toString('base64')}` });
  const fleet = await addFleet(world);
  const used = fleet.filter(({ inUse }) => inUse);
  const worker = await useWorkload(inside, world, { reads: used.map(({ id }) => id) });
  const outages = planOutages(world, { vault, postgres, redis });
  const revocations = planRevocations(fleet);
  const reads: WeekRead[] = [];
  const slips = planSlips(fleet).map(({ channel, at }) => ({ at, account: channel.account, hits: (): number => 0 }));

  const read = async () => {
    for (const { id } of used) reads.push({ at: google.now(), channel: id, told: await readToken(worker, id) });
  };
  const acts: Act[] = [
    ...outages.flatMap(({ from, to, begin, end }) => [
      // Workers at work, as before any outage; and again in the middle of it.
      { at: from, act: read },
      { at: from, act: begin },
      { at: (from + to) / 2, act: read },
      { at: to, act: end },
    ]),
    ...revocations.map(({ channel: { account }, at }) => ({
      at,
      act: () => google.revokeByOwner({ account, project: 'practice-project' }),
    })),
    ...slips.map((slip) => ({
      at: slip.at,
      act: () => {
        const fault = { kind: 'error', error: 'invalid_grant' } as const;
        const where = { endpoint: 'token', grantType: 'refresh_token', account: slip.account } as const;
        slip.hits = google.faults.add({ fault, where }).hits;
      },
    })),
    ...every(readEveryMs, read),
    ...every(deliverEveryMs, () => whereThere(() => world.broker.deliverNotifications())),
  ];
  await pass(world, acts, outages);
  return { world, fleet, outages, revocations, webhook, reads, slips: slips.filter(({ hits }) => hits() === 1).length };
}

function every(ms: number, act: Act['act']): readonly Act[] {
  return Array.from({ length: Math.floor(weekMs / ms) + 1 }, (_, index) => ({ at: monday + index * ms, act }));
}

/** Moves the clock to the next due instant or act, has the broker look, and so on to the end of the week. */
async function pass(
  { google, broker, store }: World,
  acts: readonly Act[],
  outages: readonly WeekOutage[],
): Promise<void> {
  const left = [...acts].sort((one, other) => one.at - other.at);
  while (google.now() < monday + weekMs) {
    const now = google.now();
    const inTrouble = outages
      .filter(({ from, to }) => from <= now && now < to)
      .flatMap(({ oauthClient = [] }) => oauthClient);
    const due = await nextDue(store, now, inTrouble);
    const looks = [due > now ? due : now + lookAgainMs, inTrouble.length > 0 ? now + lookLaterMs : Infinity];
    google.setClock(Math.max(now, Math.min(...looks, left[0]?.at ?? monday + weekMs)));
    while (left[0] && left[0].at <= google.now()) await left.shift()?.act();
    await whereThere(() => broker.refreshDue());
  }
}

async function nextDue(store: Store, now: number, exceptClients: readonly string[]): Promise<number> {
  const part = { now: new Date(now), regions: undefined, exceptClients };
  const due = await whereThere(() => store.channels.nextDue(part));
  return due?.getTime() ?? now;
}

/** Undefined where the database is away. */
async function whereThere<T>(step: () => Promise<T>): Promise<T | undefined> {
  try {
    return await step();
  } catch (error) {
    if (error instanceof BrokerError && error.code === 'STORE_UNAVAILABLE') return undefined;
    throw error;
  }
}

async function readToken(worker: TestWorkload, channelId: string): Promise<WeekRead['told']> {
  try {
    const { expiresAt } = await worker.getAccessToken({ channelId });
    return expiresAt ? fromTimestamp(expiresAt).getTime() : 'no end';
  } catch (error) {
    return String((error as { code?: unknown }).code);
  }
}
