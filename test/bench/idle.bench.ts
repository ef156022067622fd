/**
 * What a broker costs that has nothing to do: none of its channels is due while it is looked at. The due times, proofs and
 * use of the channels are as a year of use leaves them; PostgreSQL, Vault and Redis are real and run beside it.
 */
import { setTimeout as timer } from 'node:timers/promises';
import { sql } from 'kysely';
import { createDatabase } from '../../broker/store/database.ts';
import { createStore } from '../../broker/store/store.ts';
import { startPracticeGoogle } from '../fake-google/server.ts';
import { brokerEnvironment } from '../support/broker.ts';
import { startBrokerProcess, usageOf } from '../support/broker-process.ts';
import { superuserUrl, useOwnPostgres } from '../support/postgres.ts';
import { useRedis } from '../support/redis.ts';
import { atEnd } from '../support/scope.ts';
import { migratedDatabase } from '../support/store.ts';
import { fill } from '../support/store-fixtures.ts';
import { useSetUpVault } from '../support/vault-set-up.ts';
import type { Bench } from './harness/bench.ts';
import { short } from './harness/measure.ts';

const sizes = [10_000, 1_000_000] as const;
/** A start compiles, connects and looks at everything once. */
const settleMs = 20_000;
/** Each loop of the broker has had its turn by then. */
const watchedMs = 65_000;

interface Seen {
  readonly channels: number;
  /** Of one core, in percent. */
  readonly cpu: number;
  readonly memoryMib: number;
}

export const bench: Bench = {
  title: `A broker with ${short(sizes[1])} channels of which none is due, as a process, watched for ${watchedMs / 1000} s.`,
  unit: '% of a core',
  goal: 0.2,
  rounds: 1,
  async prepare(scope, tell) {
    const [postgres, redis, vault, google] = await Promise.all([
      useOwnPostgres(scope),
      useRedis(scope),
      useSetUpVault(scope),
      startPracticeGoogle(),
    ]);
    atEnd(scope, () => google.close());
    const databaseUrl = await migratedDatabase(postgres.url('postgres'));
    const database = createDatabase({
      url: superuserUrl(databaseUrl),
      applicationName: 'bench',
      statementTimeoutMs: 0,
    });
    atEnd(scope, () => database.close());
    await fill(createStore({ database }));
    const environment = await brokerEnvironment(scope, {
      vault,
      google,
      databaseUrl,
      redisUrl: redis.url,
      settings: { BROKER_LOG_LEVEL: 'info' },
    });
    const seen: Seen[] = [];

    async function fillUpTo(channels: number): Promise<void> {
      tell(`filling in channels, up to ${short(channels)}`);
      await database.run(async (db) => {
        // A trigger for each row would take minutes; what it writes is written here.
        await sql`alter table channels disable trigger user`.execute(db);
        await sql`
          insert into channels (id, tenant, name, region, oauth_client, state, reason, owner, admins, requested_scopes,
            generation, refresh_token_encrypted, refresh_token_hash, scopes, consented_at, google_subject,
            youtube_channel_id, youtube_title, token_expiry, last_refresh, refresh_due_at, proof_due_at, last_used_at,
            refresh_failures, created_at, updated_at, state_changed_at)
          select 'ch_' || lpad(n::text, 26, '0'), 'acme', 'channel-' || n, (array['eu', 'us', 'asia'])[1 + n % 3], 'uploads',
            'active', 'consented', 'alice', '{}', '{openid}', 1, 'vault:v1:' || repeat('x', 150), 'hash-' || n, '{openid}',
            now() - interval '1 year', 'sub-' || n, 'UC' || n, 'Channel ' || n, now() - interval '1 hour',
            now() - interval '2 hours', now() + interval '1 hour' + n % 80000 * interval '1 second',
            now() + interval '1 hour' + n % 80000 * interval '1 second', now() - interval '30 days',
            0, now() - interval '1 year', now(), now()
          from generate_series((select count(*) from channels) + 1, ${channels}) as n`.execute(db);
        await sql`alter table channels enable trigger user`.execute(db);
        await sql`vacuum analyze channels`.execute(db);
      });
    }

    return {
      name: 'CPU while idle',
      async run(round) {
        const channels = sizes[round] ?? 0;
        await fillUpTo(channels);
        const broker = await startBrokerProcess(scope, environment);
        await timer(settleMs);
        const before = usageOf(broker.pid);
        const from = performance.now();
        await timer(watchedMs);
        const after = usageOf(broker.pid);
        const cpu = ((after.cpuSeconds - before.cpuSeconds) * 100_000) / (performance.now() - from);
        seen.push({ channels, cpu, memoryMib: after.memoryMib });
        await broker.stop();
        return cpu;
      },
      conditions: () => {
        const [few, many] = seen;
        if (!few || !many) return [];
        // A tick of the system's clock is 0.015 % here: below a few of them, a ratio says nothing.
        const floor = (300 / ticksOf(watchedMs)) as number;
        const cpu = Math.max(many.cpu, floor) / Math.max(few.cpu, floor);
        const memory = many.memoryMib / few.memoryMib;
        const against = `with ${short(many.channels)} channels against ${short(few.channels)}`;
        return [
          { text: `CPU ${against}: ${cpu.toFixed(2)}, less than 2`, holds: cpu < 2 },
          { text: `memory ${against}: ${memory.toFixed(2)}, less than 2`, holds: memory < 2 },
        ];
      },
      notes: () => [
        ...seen.map(
          ({ channels, cpu, memoryMib }) =>
            `${short(channels)} channels: ${cpu.toFixed(3)} % of a core, ${memoryMib.toFixed(0)} MiB.`,
        ),
        'What is spent is spent by the clock and not by the channel: a look at the due queue (30 s), a sign of life (10 s), a look at the outbox (5 s), at keys, chains and deliveries.',
      ],
    };
  },
};

function ticksOf(ms: number): number {
  return ms / 10;
}
