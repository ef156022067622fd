/** Databases as older versions of the broker left them. */
import { readdirSync } from 'node:fs';
import type { Kysely } from 'kysely';
import { type Migration, Migrator } from 'kysely/migration';
import { beginChain, writeAuditRecord } from '../../broker/store/audit-writer.ts';
import type { Database } from '../../broker/store/database.ts';
import { aRecord, start } from './store-fixtures.ts';

const folder = new URL('../../broker/store/migrations/', import.meta.url);

/** The names of all migrations, in their order. */
export const migrationNames: readonly string[] = readdirSync(folder)
  .map((file) => file.replace('.ts', ''))
  .toSorted();

/** Brings an empty database to the version that had this migration as its newest. */
export async function migrateUpTo(database: Database, name: string): Promise<void> {
  const migrations: Record<string, Migration> = {};
  for (const each of migrationNames) migrations[each] = await import(new URL(`${each}.ts`, folder).href);
  const { error } = await database.run((db) =>
    new Migrator({
      db,
      provider: { getMigrations: async () => migrations },
      migrationTableName: 'schema_migrations',
      migrationLockTableName: 'schema_migrations_lock',
    }).migrateTo(name),
  );
  if (error !== undefined) throw error;
}

const states = ['pending_consent', 'active', 'needs_reconsent', 'blocked', 'suspended', 'revoked'];

/** Fills the tables that are there with what an installation has: two tenants, channels and consents in every state. */
export async function fillAsThen(database: Database, tables: readonly string[]): Promise<void> {
  const insert = (table: string, rows: readonly object[]) =>
    tables.includes(table)
      ? database.run((db) =>
          (db as Kysely<Record<string, object>>)
            .insertInto(table)
            .values([...rows])
            .execute(),
        )
      : undefined;
  await insert(
    'tenants',
    ['acme', 'globex'].map((name) => ({ name, admins: [`group:${name}`], created_at: start })),
  );
  await insert('oauth_clients', [{ name: 'uploads', client_id: 'id.apps.example', dpop: true, created_at: start }]);
  await insert(
    'channels',
    ['acme', 'globex'].flatMap((tenant) => states.map((state) => channelRow(tenant, state))),
  );
  await insert('consents', [consentRow('pending'), consentRow('received'), consentRow('completed')]);
  await insert('workload_access', [
    {
      spiffe_id: 'spiffe://example.org/workload/uploads',
      channel: 'ch_acme_active',
      tenant: 'acme',
      reason: 'weekly show',
      created_by: 'alice',
      created_at: start,
    },
  ]);
  await insert('notifications', [
    {
      id: `nt_${'0'.repeat(26)}`,
      type: 'channel.needs_reconsent',
      occasion: start.toISOString(),
      at: start,
      tenant: 'acme',
      channel: 'ch_acme_needs_reconsent',
      generation: 3,
      oauth_client: 'uploads',
      due_at: start,
    },
  ]);
  const acts = [aRecord('tenant.create'), aRecord('channel.add', { channel: 'ch_acme_active' })];
  const record = { ...aRecord('token.release'), tenant: 'globex', channel: 'ch_globex_active' };
  if (tables.includes('audit_chains')) {
    for (const tenant of ['acme', 'globex']) await database.transaction((trx) => beginChain(trx, tenant));
    for (const act of [...acts, record]) await database.transaction((trx) => writeAuditRecord(trx, act));
    return;
  }
  await insert(
    'audit_log',
    [...acts, record].map((act) => ({
      at: act.at,
      action: act.action,
      result: act.result,
      caller_kind: act.callerKind,
      caller: act.caller,
      ip: act.ip,
      request_id: act.requestId,
      tenant: act.tenant,
      channel: act.channel,
      facts: act.facts,
    })),
  );
}

function channelRow(tenant: string, state: string): object {
  const consented = state !== 'pending_consent';
  return {
    id: `ch_${tenant}_${state}`,
    tenant,
    name: state,
    region: 'eu',
    oauth_client: 'uploads',
    state,
    reason: 'created',
    owner: 'alice',
    admins: ['group:video'],
    requested_scopes: ['openid'],
    generation: consented ? 3 : 0,
    refresh_failures: consented ? 2 : 0,
    claim_fence: consented ? 7 : 0,
    created_at: start,
    updated_at: start,
    ...(consented && {
      refresh_token_encrypted: `vault:v2:${tenant}${state}`,
      refresh_token_hash: `hash-${tenant}-${state}`,
      dpop_key_version: 1,
      scopes: ['openid', 'youtube.upload'],
      consented_at: start,
      google_subject: `google-${tenant}`,
      youtube_channel_id: `UC-${tenant}-${state}`,
      youtube_title: 'Cooking with Alice',
      refresh_due_at: start,
      token_expiry: start,
    }),
  };
}

function consentRow(status: 'pending' | 'received' | 'completed'): object {
  return {
    id: `co_${status}`,
    tenant: 'acme',
    channel: 'ch_acme_needs_reconsent',
    oauth_client: 'uploads',
    link_hash: `link-${status}`,
    link_expires_at: start,
    status,
    created_by: 'alice',
    created_at: start,
    state_hash: `state-${status}`,
    browser_hash: 'browser',
    nonce: 'nonce',
    started_at: start,
    request_expires_at: start,
    ...(status === 'pending' ? { code_verifier_encrypted: 'vault:v1:verifier' } : { taken_at: start }),
    ...(status === 'completed' && { completed_at: start }),
    ...(status === 'received' && {
      received_generation: 4,
      received_token_encrypted: 'vault:v2:received',
      received_token_hash: 'hash-received',
      received_scopes: ['openid'],
      received_at: start,
    }),
  };
}
