import { type Kysely, sql } from 'kysely';
import type { Shreds, TenantCiphertext } from '../ports.ts';
import { writeAuditRecords } from './audit-writer.ts';
import { toChannel } from './channel-row.ts';
import { expectChanged } from './conflict.ts';
import { nothingReceived } from './consent-row.ts';
import type { Database } from './database.ts';
import { recorded } from './recorded.ts';
import type { Schema } from './schema.ts';
import { toShred } from './shreds.ts';
import { foreignSiblings } from './siblings.ts';

/** A verifier is encrypted for generation 0: no grant has it. */
const verifierGeneration = 0;

/** A tenant may have very many channels, and each statement has a time limit: rows of one transaction go by so many. */
const defaultAtOnce = 1_000;

/** Shreds from their start to their proof. */
export function createStartedShreds(
  database: Database,
  { atOnce = defaultAtOnce }: { readonly atOnce?: number } = {},
): Omit<Shreds, 'newest' | 'impact' | 'request' | 'approve' | 'cancel' | 'tally'> {
  return {
    start: ({ id, tenant, by, at, controlCiphertext, withoutRevocation }, record, recordOfChannel) =>
      database.transaction(async (trx) => {
        // Channels before their tenant, as an owner's consent locks them; a channel that comes between is met below.
        await channelsOf(trx, tenant).execute();
        const ended = await trx
          .updateTable('tenants')
          .set({ state: 'shredding' })
          .where('name', '=', tenant)
          .where('state', '=', 'active')
          .executeTakeFirst();
        expectChanged(ended, `tenant ${tenant} is not active`);
        const started = await trx
          .updateTable('tenant_shreds')
          .set({
            state: 'revoking',
            started_by: by,
            started_at: at,
            control_ciphertext: controlCiphertext,
            without_revocation: withoutRevocation,
          })
          .where('id', '=', id)
          .where('tenant', '=', tenant)
          .where('state', '=', 'approved')
          .where('expires_at', '>', at)
          .executeTakeFirst();
        expectChanged(started, `shred ${id} is not approved, or has lapsed`);

        const channels = await channelsOf(trx, tenant).execute();
        for (const some of slices(channels, atOnce)) {
          const ids = some.map((channel) => channel.id);
          // The fence rises: a refresh that is under way writes nothing and caches nothing.
          await trx
            .updateTable('channels')
            .set((row) => ({
              state: 'revoked',
              reason: 'tenant_shredded',
              claim_fence: row('claim_fence', '+', 1),
              claimed_until: null,
              awaited: false,
              updated_at: at,
            }))
            .where('id', '=', sql<string>`any(${ids})`)
            .execute();
          await sql`
            insert into tenant_shred_revocations (shred, channel, outcome, due_at)
              select ${id}, id, ${withoutRevocation ? 'skipped' : null}, ${at}::timestamptz from channels
              where id = any (${ids}) and refresh_token_encrypted is not null`.execute(trx);
        }
        const alive = channels.filter(({ state }) => state !== 'revoked');
        const records = [record, ...alive.map(({ id: channel }) => recordOfChannel(channel))];
        for (const some of slices(records, atOnce)) await writeAuditRecords(trx, some);
      }),

    async ended(since) {
      const rows = await database.run((db) =>
        db
          .selectFrom('tenants')
          .leftJoin('channels', 'channels.tenant', 'tenants.name')
          .select(['tenants.name', 'channels.id', 'channels.generation'])
          .where((row) =>
            row.or([
              row('tenants.state', '=', 'shredding'),
              row(
                'tenants.name',
                'in',
                db
                  .selectFrom('tenant_shreds')
                  .select('tenant')
                  .where('state', '=', 'shredded')
                  .where('ended_at', '>=', since),
              ),
            ]),
          )
          .execute(),
      );
      const tenants = Map.groupBy(rows, ({ name }) => name);
      return [...tenants].map(([tenant, channels]) => ({
        tenant,
        channels: channels.flatMap(({ id, generation }) =>
          id === null || generation === null ? [] : [{ id, generation }],
        ),
      }));
    },

    claim: (now, until) =>
      database.transaction(async (trx) => {
        const free = await trx
          .selectFrom('tenant_shreds')
          .select('id')
          .where('state', 'in', ['revoking', 'awaiting_key_destruction'])
          .where((row) => row.or([row('claimed_until', 'is', null), row('claimed_until', '<=', now)]))
          .orderBy('claimed_until', (order) => order.asc().nullsFirst())
          .limit(1)
          .forUpdate()
          .skipLocked()
          .executeTakeFirst();
        if (!free) return undefined;
        const row = await trx
          .updateTable('tenant_shreds')
          .set({ claimed_until: until })
          .where('id', '=', free.id)
          .returningAll()
          .executeTakeFirstOrThrow();
        return toShred(row);
      }),

    release: async (id, due) =>
      void (await database.run((db) =>
        db.updateTable('tenant_shreds').set({ claimed_until: due }).where('id', '=', id).execute(),
      )),

    dueRevocations: (id, now, limit) =>
      database.run(async (db) => {
        const rows = await db
          .selectFrom('tenant_shred_revocations as revocation')
          .innerJoin('channels', 'channels.id', 'revocation.channel')
          .selectAll('channels')
          .select('revocation.attempts')
          .where('revocation.shred', '=', id)
          .where('revocation.outcome', 'is', null)
          .where('revocation.due_at', '<=', now)
          .orderBy('revocation.due_at')
          .orderBy('revocation.channel')
          .limit(limit)
          .execute();
        if (rows.length === 0) return [];
        const ids = rows.map((row) => row.id);
        const siblings = await foreignSiblings(db).select('own.id').distinct().where('own.id', 'in', ids).execute();
        const kept = new Set(siblings.map((sibling) => sibling.id));
        return rows.map((row) => ({ channel: toChannel(row), attempts: row.attempts, hasSibling: kept.has(row.id) }));
      }),

    revocationTried: (id, channel, { outcome, dueAt }, record) =>
      recorded(database, record, async (trx) => {
        const result = await trx
          .updateTable('tenant_shred_revocations')
          .set((row) => ({ outcome: outcome ?? null, due_at: dueAt, attempts: row('attempts', '+', 1) }))
          .where('shred', '=', id)
          .where('channel', '=', channel)
          .where('outcome', 'is', null)
          .executeTakeFirst();
        expectChanged(result, `the revocation of ${channel} is done`);
      }),

    retryFailed: (id, at, record) =>
      recorded(database, record, async (trx) => {
        await trx
          .updateTable('tenant_shred_revocations')
          .set({ outcome: null, attempts: 0, due_at: at })
          .where('shred', '=', id)
          .where('outcome', '=', 'failed')
          .execute();
        await claimable(trx, id);
      }),

    skipRemaining: (id, record) =>
      recorded(database, record, async (trx) => {
        await trx
          .updateTable('tenant_shred_revocations')
          .set({ outcome: 'skipped' })
          .where('shred', '=', id)
          .where((row) => row.or([row('outcome', 'is', null), row('outcome', '=', 'failed')]))
          .execute();
        await trx.updateTable('tenant_shreds').set({ without_revocation: true }).where('id', '=', id).execute();
        await claimable(trx, id);
      }),

    revocationsDone: (id, record) =>
      recorded(database, record, async (trx) => {
        const result = await trx
          .updateTable('tenant_shreds')
          .set({ state: 'awaiting_key_destruction' })
          .where('id', '=', id)
          .where('state', '=', 'revoking')
          .executeTakeFirst();
        expectChanged(result, `shred ${id} does not revoke any more`);
      }),

    ciphertexts: (tenant) => database.run((db) => ciphertextsOf(db, tenant)),

    finish: ({ id, tenant }, proof, at, record) =>
      recorded(database, record, async (trx) => {
        const result = await trx
          .updateTable('tenant_shreds')
          .set({ state: 'shredded', proof: JSON.stringify(proof), ended_at: at, claimed_until: null })
          .where('id', '=', id)
          .where('state', '=', 'awaiting_key_destruction')
          .executeTakeFirst();
        expectChanged(result, `shred ${id} does not wait for its proof`);
        await trx.updateTable('tenants').set({ state: 'shredded' }).where('name', '=', tenant).execute();
        const scrub = trx
          .updateTable('channels')
          .set({
            refresh_token_encrypted: null,
            refresh_token_hash: null,
            refresh_token_prefix_hash: null,
            refresh_token_expires_at: null,
            security_event: null,
            security_event_at: null,
            dpop_key_version: null,
            scopes: null,
            consented_at: null,
            google_subject: null,
            youtube_channel_id: null,
            youtube_title: null,
            access_token_cache_key: null,
            token_expiry: null,
            refresh_due_at: null,
            scrubbed_at: at,
            updated_at: at,
          })
          .where('id', 'in', (query) =>
            query
              .selectFrom('channels')
              .select('id')
              .where('tenant', '=', tenant)
              .where('scrubbed_at', 'is', null)
              .orderBy('id')
              .limit(atOnce),
          );
        while ((await scrub.executeTakeFirstOrThrow()).numUpdatedRows > 0n);
        await trx
          .updateTable('consents')
          .set({ ...nothingReceived, code_verifier_encrypted: null })
          .set({ status: sql`case status when 'received' then 'pending' else status end` })
          .where('tenant', '=', tenant)
          .execute();
      }),
  };
}

function* slices<T>(items: readonly T[], size: number): Generator<readonly T[]> {
  for (let start = 0; start < items.length; start += size) yield items.slice(start, start + size);
}

function channelsOf(db: Kysely<Schema>, tenant: string) {
  return db.selectFrom('channels').select(['id', 'state']).where('tenant', '=', tenant).orderBy('id').forUpdate();
}

/** Somebody decided: nobody waits for the next try. */
async function claimable(db: Kysely<Schema>, id: string): Promise<void> {
  await db.updateTable('tenant_shreds').set({ claimed_until: null }).where('id', '=', id).execute();
}

async function ciphertextsOf(db: Kysely<Schema>, tenant: string): Promise<readonly TenantCiphertext[]> {
  const { rows } = await sql<TenantCiphertext>`
    select id as channel, generation, refresh_token_encrypted as ciphertext from channels
      where tenant = ${tenant} and refresh_token_encrypted is not null
    union all
    select channel, received_generation, received_token_encrypted from consents
      where tenant = ${tenant} and received_token_encrypted is not null
    union all
    select channel, ${sql.lit(verifierGeneration)}, code_verifier_encrypted from consents
      where tenant = ${tenant} and code_verifier_encrypted is not null`.execute(db);
  return rows;
}
