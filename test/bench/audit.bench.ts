/**
 * Audited releases against the bare insert of their records.
 *
 * Ours: the flow `get-access-token` as the broker runs it, with many callers at once: the decision read from PostgreSQL, the
 * token from Redis (decrypted), the record chained by hashes, committed in groups, each caller answered when its record
 * is on disk. Not in it: gRPC and mTLS, which have nothing to do with the record.
 *
 * Bare: the same records, of the same size, in batches as large as our groups, one multi-row insert and one commit each,
 * into the table as it was before it had chains, with two indexes.
 */
import { randomBytes, randomUUID } from 'node:crypto';
import { setTimeout as timer } from 'node:timers/promises';
import pg from 'pg';
import { createAccessTokenCache } from '../../broker/cache/access-token-cache.ts';
import { createInProcessAccessTokenCache } from '../../broker/cache/in-process.ts';
import { createInProcessRateLimits } from '../../broker/cache/rate-limits.ts';
import { createRedis } from '../../broker/cache/redis.ts';
import { withMemory } from '../../broker/cache/with-memory.ts';
import type { AuditRecord } from '../../broker/domain/audit-record.ts';
import type { Workload } from '../../broker/domain/caller.ts';
import { Secret } from '../../broker/domain/secret.ts';
import { createAuthorize } from '../../broker/flow/authorize.ts';
import { createGetAccessToken } from '../../broker/flow/get-access-token.ts';
import { createLookUpReadable } from '../../broker/flow/look-up-readable.ts';
import { createDatabase } from '../../broker/store/database.ts';
import { createStore } from '../../broker/store/store.ts';
import { createDataKeys } from '../../broker/vault/data-keys.ts';
import { createTenantKeys } from '../../broker/vault/tenant-keys.ts';
import { useOwnPostgres } from '../support/postgres.ts';
import { startRecorder } from '../support/recorder.ts';
import { useRedis } from '../support/redis.ts';
import { atEnd, useFolder } from '../support/scope.ts';
import { migratedDatabase } from '../support/store.ts';
import { aFirstToken, anActiveChannel, aRecord, fill } from '../support/store-fixtures.ts';
import { useSetUpVault } from '../support/vault-set-up.ts';
import type { Bench } from './harness/bench.ts';

const callers = 2_000;
const releases = 20_000;
const channelCount = 50;
const batch = 1_000;

export const bench: Bench = {
  title: `Audited releases of tokens (${callers} callers at once, durable PostgreSQL) against the bare insert of the same records, ${batch} in a batch.`,
  unit: 'ratio to bare batched inserts',
  goal: 0.5,
  rounds: 5,
  async prepare(scope, tell) {
    const postgres = await useOwnPostgres(scope, { durable: true });
    const url = await migratedDatabase(postgres.url('postgres'));
    const [redisServer, vault] = await Promise.all([useRedis(scope), useSetUpVault(scope)]);
    const clock = { now: () => new Date() };
    const database = createDatabase({ url, applicationName: 'bench' });
    atEnd(scope, () => database.close());
    const store = createStore({ database });
    const keys = createTenantKeys({ vault: await vault.asBroker(), transit: vault.layout.mounts.transit });
    await keys.create('acme');
    const log = { info: () => {}, warn: () => {}, debug: () => {} };
    const redis = createRedis({ url: redisServer.url, random: Math.random, log });
    atEnd(scope, () => redis.close());
    const shared = createAccessTokenCache({
      redis,
      dataKeys: createDataKeys({ keys, clock }),
      clock,
      random: randomBytes,
      log,
    });
    const cache = withMemory(shared, createInProcessAccessTokenCache({ clock }));

    const expiresAt = new Date(Date.now() + 3_600_000);
    const ids = Array.from({ length: channelCount }, (_, n) => `ch_${String(n).padStart(26, '0')}`);
    const grantOf = (id: string) => ({
      ...aFirstToken(),
      accessTokenCacheKey: cache.keyOf(id, 1),
      tokenExpiresAt: expiresAt,
      lastRefreshAt: new Date(),
    });
    await fill(store, ...ids.map((id, n) => anActiveChannel({ id, name: `c${n}` }, grantOf(id))));
    const spiffeId = 'spiffe://media.example/workload/uploader';
    for (const id of ids) {
      const access = {
        spiffeId,
        channel: id,
        tenant: 'acme',
        reason: 'uploads',
        createdBy: 'alice',
        createdAt: new Date(),
      };
      await store.workloadAccess.allow(access, aRecord('workload.allow', { channel: id }));
      await cache.put('acme', cache.keyOf(id, 1), {
        accessToken: new Secret(`ya29.${randomBytes(120).toString('base64url')}`),
        expiresAt,
      });
    }
    const recorder = await startRecorder({ store, directory: await useFolder(scope), patienceMs: 60_000 });
    atEnd(scope, recorder.stop);
    const kept: AuditRecord[] = [];
    const recorded = {
      ...store,
      audit: {
        ...store.audit,
        append: (record: AuditRecord) => {
          if (kept.length < releases) kept.push(record);
          return recorder.append(record);
        },
      },
    };
    const getAccessToken = createGetAccessToken({
      rateLimits: createInProcessRateLimits({ clock }),
      forcedRate: { ratePerSecond: 1, burst: 1, slowestPerSecond: 1 },
      authorize: createAuthorize({ store: recorded, clock, operatorsGroup: 'operators', auditorsGroup: 'auditors' }),
      store: recorded,
      lookUpReadable: createLookUpReadable({ store, presence: recorder.presence, clock }),
      cache,
      refreshChannel: { refresh: () => Promise.reject(new Error('nothing is refreshed here')) },
      onUsed: () => {},
      sleep: async () => {},
      clock,
    });

    async function release(): Promise<number> {
      let left = releases;
      const begun = performance.now();
      await Promise.all(
        Array.from({ length: callers }, async () => {
          while (left > 0) {
            left -= 1;
            const caller: Workload = {
              kind: 'workload',
              spiffeId,
              certificateSerial: '0a:1b:2c:3d',
              ip: '192.0.2.7',
              requestId: randomUUID(),
            };
            await getAccessToken(caller, {
              channel: ids[left % channelCount] ?? '',
              minTtlSeconds: 0,
              scopes: [],
              reason: 'nightly upload',
            });
          }
        }),
      );
      return releases / ((performance.now() - begun) / 1_000);
    }

    const bare = new pg.Client({ connectionString: postgres.url('postgres') });
    await bare.connect();
    atEnd(scope, () => bare.end());
    await bare.query(`create table bare_log (id bigint generated always as identity primary key, at timestamptz not null, action text not null,
      result text not null, caller_kind text not null, caller text not null, ip text, request_id text not null, tenant text, channel text,
      facts jsonb not null); create index on bare_log (tenant, id); create index on bare_log (channel, id)`);

    async function insert(): Promise<number> {
      const begun = performance.now();
      for (let from = 0; from < kept.length; from += batch) await insertBatch(bare, kept.slice(from, from + batch));
      return kept.length / ((performance.now() - begun) / 1_000);
    }

    tell('one run for the records that both sides write');
    await release();
    // What the fixtures wait for besides is over.
    await timer(0);
    return {
      subject: { name: 'audited releases', unit: 'records/s', run: release },
      baseline: { name: 'bare inserts', unit: 'records/s', run: insert },
      notes: () => {
        const { database: groups } = recorder.groups;
        const mean = groups.reduce((sum, size) => sum + size, 0) / groups.length;
        return [
          `${groups.length} groups, ${mean.toFixed(0)} records in each on average; none went to the spool: ${recorder.groups.spool.length === 0}.`,
        ];
      },
    };
  },
};

async function insertBatch(client: pg.Client, records: readonly AuditRecord[]): Promise<void> {
  await client.query(
    `insert into bare_log (at, action, result, caller_kind, caller, ip, request_id, tenant, channel, facts)
     select at, action, result, caller_kind, caller, ip, request_id, tenant, channel, facts::jsonb
     from unnest($1::timestamptz[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::text[])
       as new (at, action, result, caller_kind, caller, ip, request_id, tenant, channel, facts)`,
    [
      records.map(({ at }) => at),
      records.map(({ action }) => action),
      records.map(({ result }) => result),
      records.map(({ callerKind }) => callerKind),
      records.map(({ caller }) => caller),
      records.map(({ ip }) => ip ?? null),
      records.map(({ requestId }) => requestId),
      records.map(({ tenant }) => tenant ?? null),
      records.map(({ channel }) => channel ?? null),
      records.map(({ facts }) => JSON.stringify(facts)),
    ],
  );
}
