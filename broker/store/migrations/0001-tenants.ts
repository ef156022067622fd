import { type Kysely, sql } from 'kysely';

/** Tenants, and the OAuth clients that consents are asked with. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    create table tenants (
      name       text primary key,
      admins     text[] not null,
      created_at timestamptz not null
    );
    comment on table tenants is 'Customers that own channels; each has one Vault transit key, tenant-NAME.';
    comment on column tenants.admins is 'Principals (user:SUBJECT, group:NAME) who administer the tenant.';

    create table oauth_clients (
      name       text primary key,
      client_id  text not null,
      dpop       boolean not null,
      created_at timestamptz not null
    );
    comment on table oauth_clients is 'Our clients at Google; their secrets are in Vault KV, never here.';
    comment on column oauth_clients.name is 'Ours; names the entry in Vault KV and the DPoP key in Vault transit.';
    comment on column oauth_clients.client_id is 'Google''s client_id; public.';
    comment on column oauth_clients.dpop is 'Whether new grants are bound by DPoP (RFC 9449).';
  `.execute(db);
}
