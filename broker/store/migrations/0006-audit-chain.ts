import { type Kysely, sql } from 'kysely';
import { appended, type ChainHead, emptyChain, installationChain } from '../../domain/audit-chain.ts';
import { toAuditRecord } from '../audit-log-row.ts';
import type { Schema } from '../schema.ts';

/**
 * A hash chain for each tenant and one for the installation. What an older broker recorded is chained here, in the order of
 * writing: the chain proves that it has not been changed since this migration, not before.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    create table audit_chains (
      chain text primary key,
      seq   bigint not null,
      hash  bytea not null,

      constraint audit_chains_seq_counts_up check (seq >= 0),
      constraint audit_chains_hash_is_sha256 check (octet_length(hash) = 32)
    );

    create function refuse_audit_chain_change() returns trigger language plpgsql as $$
    begin
      raise exception 'audit chains only grow: % refused', tg_op using errcode = 'insufficient_privilege';
    end
    $$;
    create trigger audit_chains_stay
      before delete or truncate on audit_chains
      for each statement execute function refuse_audit_chain_change();
    create trigger audit_chains_only_grow
      before update on audit_chains
      for each row when (new.chain <> old.chain or new.seq <= old.seq)
      execute function refuse_audit_chain_change();
    alter table audit_chains enable always trigger audit_chains_stay;
    alter table audit_chains enable always trigger audit_chains_only_grow;

    alter table audit_log
      add column chain   text,
      add column seq     bigint,
      add column version smallint,
      add column leaf    bytea,
      add column hash    bytea;
    alter table audit_log disable trigger audit_log_is_append_only;

    comment on table audit_chains is
      'The newest record of each chain. Whoever records locks the row: so a chain is written by one after the other.';
    comment on column audit_chains.chain is 'A tenant, or empty for the installation.';
    comment on column audit_chains.seq is 'Number of the newest record; 0 where there is none.';
    comment on column audit_chains.hash is 'Its hash; where there is none, a hash of the chain''s name.';
    comment on column audit_log.chain is 'The tenant, where it exists, else empty: the chain of the installation.';
    comment on column audit_log.seq is '1, 2, 3 without gaps within the chain.';
    comment on column audit_log.version is 'How the record was turned into bytes; docs/audit.md.';
    comment on column audit_log.leaf is 'SHA-256 of the record''s own content; tells whether a record is written.';
    comment on column audit_log.hash is 'SHA-256 of the hash before, seq and leaf.';
  `.execute(db);

  await chainAll(db as Kysely<Schema>);

  await sql`
    alter table audit_log enable always trigger audit_log_is_append_only;
    alter table audit_log
      alter column chain set not null,
      alter column seq set not null,
      alter column version set not null,
      alter column leaf set not null,
      alter column hash set not null,
      add constraint audit_log_place_in_chain unique (chain, seq),
      add constraint audit_log_seq_counts_up check (seq > 0),
      add constraint audit_log_hashes_are_sha256 check (octet_length(leaf) = 32 and octet_length(hash) = 32);
    create index audit_log_by_leaf on audit_log using hash (leaf);
  `.execute(db);
}

async function chainAll(db: Kysely<Schema>): Promise<void> {
  const tenants = await db.selectFrom('tenants').select('name').execute();
  const heads = new Map<string, ChainHead>();
  for (const chain of [installationChain, ...tenants.map(({ name }) => name)]) heads.set(chain, emptyChain(chain));

  for (let after = '0'; ; ) {
    const rows = await db
      .selectFrom('audit_log')
      .select([
        'id',
        'at',
        'action',
        'result',
        'caller_kind',
        'caller',
        'ip',
        'request_id',
        'tenant',
        'channel',
        'facts',
      ])
      .where('id', '>', after)
      .orderBy('id')
      .limit(batch)
      .execute();
    const newest = rows.at(-1);
    if (!newest) break;
    after = newest.id;
    const links = rows.map((row) => {
      const head = heads.get(row.tenant ?? installationChain) ?? heads.get(installationChain);
      const link = appended(head ?? emptyChain(installationChain), toAuditRecord(row));
      heads.set(link.chain, link);
      return link;
    });
    await sql`
      update audit_log set chain = new.chain, seq = new.seq, version = new.version, leaf = new.leaf, hash = new.hash
      from unnest(
        ${rows.map(({ id }) => id)}::bigint[],
        ${links.map(({ chain }) => chain)}::text[],
        ${links.map(({ seq }) => seq)}::bigint[],
        ${links.map(({ version }) => version)}::smallint[],
        ${links.map(({ leaf }) => leaf)}::bytea[],
        ${links.map(({ hash }) => hash)}::bytea[]
      ) as new (id, chain, seq, version, leaf, hash)
      where audit_log.id = new.id`.execute(db);
  }

  const rows = [...heads.values()].map(({ chain, seq, hash }) => ({ chain, seq, hash }));
  for (let from = 0; from < rows.length; from += batch) {
    await db
      .insertInto('audit_chains')
      .values(rows.slice(from, from + batch))
      .execute();
  }
}

/** Rows that are read and written at a time. */
const batch = 5_000;
