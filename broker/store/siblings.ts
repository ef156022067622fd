import { type Kysely, sql } from 'kysely';
import type { Schema } from './schema.ts';

/**
 * Pairs of a grant (`own`) and a live one (`other`) that Google would end together with it: the same identity, and OAuth
 * clients of the same Google project, which is the number that the `client_id` begins with.
 */
export function siblings(db: Kysely<Schema>) {
  return db
    .selectFrom('channels as own')
    .innerJoin('channels as other', (join) =>
      join.onRef('other.google_subject', '=', 'own.google_subject').onRef('other.id', '<>', 'own.id'),
    )
    .innerJoin('oauth_clients as own_client', 'own_client.name', 'own.oauth_client')
    .innerJoin('oauth_clients as other_client', 'other_client.name', 'other.oauth_client')
    .where('own.refresh_token_encrypted', 'is not', null)
    .where('other.refresh_token_encrypted', 'is not', null)
    .where('other.state', 'in', ['active', 'suspended'])
    .where(sql<boolean>`${project('own_client')} = ${project('other_client')}`);
}

/** Those of another tenant. */
export function foreignSiblings(db: Kysely<Schema>) {
  return siblings(db).whereRef('other.tenant', '<>', 'own.tenant');
}

/** A `client_id` that is not of Google's form stands for itself. */
export function project(table: string) {
  const id = sql.ref(`${table}.client_id`);
  return sql`coalesce(substring(${id}, '^([0-9]+)-'), ${id})`;
}
