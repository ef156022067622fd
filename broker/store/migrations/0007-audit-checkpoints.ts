import { type Kysely, sql } from 'kysely';

/** Vault's signatures under the ends of the audit chains. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    create table audit_checkpoints (
      chain       text not null references audit_chains (chain),
      seq         bigint not null,
      hash        bytea not null,
      at          timestamptz not null,
      key_version integer not null,
      signature   text not null,

      primary key (chain, seq),
      constraint audit_checkpoints_seq_counts_up check (seq > 0),
      constraint audit_checkpoints_hash_is_sha256 check (octet_length(hash) = 32)
    );

    create trigger audit_checkpoints_are_append_only
      before update or delete or truncate on audit_checkpoints
      for each statement execute function refuse_audit_change();
    alter table audit_checkpoints enable always trigger audit_checkpoints_are_append_only;

    comment on table audit_checkpoints is
      'Ends of audit chains, signed by Vault: what comes before one cannot be written anew without Vault.';
    comment on column audit_checkpoints.seq is 'The record that is signed, and with it all before it.';
    comment on column audit_checkpoints.key_version is 'Version of the transit key audit-checkpoint that signed.';
    comment on column audit_checkpoints.signature is
      'ECDSA on P-256 with SHA-256, R and S in base64url, over chain, seq, hash and time; docs/audit.md.';
  `.execute(db);
}
