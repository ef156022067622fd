/**
 * Ten thousand channels that are due at once, refreshed by one broker: claimed, decrypted by Vault, proven by DPoP, asked
 * of a Google that takes 200 ms, written with their audit records, put encrypted into Redis. Broker, Vault, PostgreSQL
 * (which syncs to disk), Redis and the practice Google are processes of their own and share the machine.
 */
import { setTimeout as timer } from 'node:timers/promises';
import { sql } from 'kysely';
import { Secret } from '../../broker/domain/secret.ts';
import { createDatabase } from '../../broker/store/database.ts';
import { createStore } from '../../broker/store/store.ts';
import { createDpopKeys } from '../../broker/vault/dpop-keys.ts';
import { createOAuthClientSecrets } from '../../broker/vault/oauth-client-secrets.ts';
import { createTenantKeys } from '../../broker/vault/tenant-keys.ts';
import { brokerEnvironment } from '../support/broker.ts';
import { startBrokerProcess, usageOf } from '../support/broker-process.ts';
import { superuserUrl, useOwnPostgres } from '../support/postgres.ts';
import { usePracticeGoogleProcess } from '../support/practice-google-process.ts';
import { useRedis } from '../support/redis.ts';
import { atEnd } from '../support/scope.ts';
import { migratedDatabase } from '../support/store.ts';
import { aRecord, start } from '../support/store-fixtures.ts';
import { useVaultFront } from '../support/vault-front.ts';
import { useSetUpVault } from '../support/vault-set-up.ts';
import type { Bench } from './harness/bench.ts';
import { short } from './harness/measure.ts';

const channels = 10_000;
const warmUp = 1_000;
const latencyMs = 200;
const tenants = ['acme', 'globex', 'initech', 'umbrella'];
/** Google keeps a hundred refresh tokens for each account and client. */
const grantsPerAccount = 80;
const scope_ = 'openid https://www.googleapis.com/auth/youtube.upload';

export const bench: Bench = {
  title: `${short(channels)} due refreshes at ${latencyMs} ms of Google’s latency, by one broker with its usual settings.`,
  unit: 'seconds',
  goal: 25,
  rounds: 2,
  async prepare(scope, tell) {
    const [postgres, redis, vault, google] = await Promise.all([
      useOwnPostgres(scope, { durable: true }),
      useRedis(scope),
      useSetUpVault(scope),
      usePracticeGoogleProcess(scope),
    ]);
    const databaseUrl = await migratedDatabase(postgres.url('postgres'));
    const database = createDatabase({
      url: superuserUrl(databaseUrl),
      applicationName: 'bench',
      statementTimeoutMs: 0,
    });
    atEnd(scope, () => database.close());
    const store = createStore({ database });
    const front = await useVaultFront(scope, vault.address);
    const environment = await brokerEnvironment(scope, {
      vault: { ...vault, address: front.address },
      google,
      databaseUrl,
      redisUrl: redis.url,
      settings: { BROKER_LOG_LEVEL: 'info' },
    });
    const { transit, kv } = vault.layout.mounts;
    const asBroker = await vault.asBroker();
    const keys = createTenantKeys({ vault: asBroker, transit });
    const dpopKeys = createDpopKeys({ vault: asBroker, transit });
    const secrets = createOAuthClientSecrets({ vault: asBroker, kv, clock: { now: () => new Date() } });

    tell(`filling in ${short(channels)} channels of ${tenants.length} tenants, each with an OAuth client of its own`);
    for (const tenant of tenants) {
      const client = { name: `${tenant}-uploads`, clientId: `${tenant}.apps.example`, dpop: true, createdAt: start };
      await keys.create(tenant);
      await dpopKeys.create(client.name);
      await secrets.create(client.name, new Secret(`secret-of-${tenant}`));
      await store.tenants.create({ name: tenant, admins: [], createdAt: start }, aRecord('tenant.create', { tenant }));
      await store.oauthClients.create({ ...client, publishing: 'production' }, aRecord('oauth-client.add'));
      const registered = { clientId: client.clientId, clientSecret: `secret-of-${tenant}`, dpop: 'optional' as const };
      await google.remote.addClient({ ...registered, redirectUris: ['http://127.0.0.1:1/callback'] });
      await addChannels(tenant, client.name, client.clientId);
    }

    async function addChannels(tenant: string, oauthClient: string, clientId: string): Promise<void> {
      const count = channels / tenants.length;
      const ids = Array.from({ length: count }, (_, n) => `ch_${tenant.padEnd(8, '0')}${String(n).padStart(18, '0')}`);
      const tokens: string[] = [];
      for (let from = 0; from < count; from += grantsPerAccount) {
        const account = `${tenant}-${from}@example.com`;
        await google.remote.addAccount({
          email: account,
          channels: [{ id: `UC${account}`, title: account, kind: 'personal' }],
        });
        const grants = ids
          .slice(from, from + grantsPerAccount)
          .map(() => google.remote.grant({ clientId, account, scope: scope_ }));
        tokens.push(...(await Promise.all(grants)).map(({ refreshToken }) => refreshToken));
      }
      const ciphertexts = await Promise.all(
        ids.map((channel, n) => keys.encrypt({ tenant, channel, generation: 1 }, new Secret(tokens[n] ?? ''))),
      );
      await database.run((db) =>
        sql`
          insert into channels (id, tenant, name, region, oauth_client, state, reason, owner, admins, requested_scopes,
            generation, refresh_token_encrypted, refresh_token_hash, dpop_key_version, scopes, consented_at,
            google_subject, youtube_channel_id, youtube_title, last_used_at, proof_due_at, refresh_failures, created_at,
            updated_at)
          select id, ${tenant}, id, 'eu', ${oauthClient}, 'active', 'consented', 'alice', '{}', '{}', 1, ciphertext,
            'hash-' || id, 1, ${scope_.split(' ')}::text[], now(), 'sub-' || id, 'UC' || id, id, now(),
            now() + interval '1 day', 0, now(), now()
          from unnest(${ids}::text[], ${ciphertexts}::text[]) as new (id, ciphertext)`.execute(db),
      );
    }

    const notes: string[] = [];
    await google.remote.addFault({
      fault: { kind: 'latency', ms: latencyMs },
      where: { endpoint: 'token' },
      times: 'always',
    });

    async function doneSince(instant: Date): Promise<{ readonly done: number; readonly failed: number }> {
      return database.run(async (db) => {
        const { rows } = await sql<{ done: number; failed: number }>`
          select count(*) filter (where last_refresh >= ${instant})::integer as done,
            count(*) filter (where last_failure is not null)::integer as failed from channels`.execute(db);
        return rows[0] ?? { done: 0, failed: 0 };
      });
    }

    /** Waits for the first claim; answers when none was there yet. */
    async function firstClaim(): Promise<number> {
      for (;;) {
        const looked = performance.now();
        await timer(5);
        const { rows } = await database.run((db) =>
          sql`select from channels where claimed_until is not null limit 1`.execute(db),
        );
        if (rows.length > 0) return looked;
      }
    }

    return {
      name: `${short(channels)} refreshes`,
      async run(round) {
        const due = round === 0 ? warmUp : channels;
        await database.run((db) =>
          sql`update channels set refresh_due_at = case when id in (select id from channels order by id limit ${due})
            then now() - interval '1 minute' else now() + interval '1 day' end, claimed_until = null`.execute(db),
        );
        await database.run((db) => sql`vacuum analyze channels`.execute(db));
        await google.remote.resetCounts();
        const vaultBefore = front.requests.length;
        const begun = new Date();
        const starting = startBrokerProcess(scope, environment);
        // From before the first claim on: what the process does to start is no refresh.
        const first = await firstClaim();
        const broker = await starting;
        const usage = usageOf(broker.pid);
        const googleUsage = usageOf(google.pid);
        let state = { done: 0, failed: 0 };
        while (state.done < due) {
          await timer(200);
          state = await doneSince(begun);
          if (performance.now() - first > 180_000) throw new Error(`only ${JSON.stringify(state)} after three minutes`);
        }
        const seconds = (performance.now() - first) / 1_000;
        const after = usageOf(broker.pid);
        const counts = await google.remote.counts();
        const calls = front.requests.slice(vaultBefore).filter((line) => /\/(decrypt|sign)\//.test(line)).length;
        if (round > 0) {
          notes.push(
            `Round ${round}: ${Math.round(due / seconds)} refreshes/s; ${(((after.cpuSeconds - usage.cpuSeconds) * 1_000) / due).toFixed(2)} ms of the broker’s CPU ` +
              `and ${(((usageOf(google.pid).cpuSeconds - googleUsage.cpuSeconds) * 1_000) / due).toFixed(2)} ms of the practice Google’s for each; ` +
              `${calls} requests to Vault to decrypt and sign (${(calls / due).toFixed(3)} for each); ${counts.connections} connections to Google, ` +
              `${counts.concurrentPeak.token} requests at once; ${counts.byEndpoint.token} token requests; ${after.memoryMib.toFixed(0)} MiB.`,
          );
        }
        await broker.stop();
        return seconds;
      },
      notes: () => notes,
    };
  },
};
