/**
 * Writes what became of many claimed refreshes in one transaction: each where its generation and its fence are still
 * those that were claimed, and the records of those that were written.
 */
import { sql, type Transaction } from 'kysely';
import { BrokerError } from '../errors.ts';
import type { SettledRefresh, SettleOutcome } from '../ports.ts';
import { writeAuditRecords, writtenRecords } from './audit-writer.ts';
import type { Database } from './database.ts';
import type { Schema } from './schema.ts';

/** May be repeated after a commit whose answer was lost: whose record is there was written, and is not written again. */
export async function settleAll(
  database: Database,
  settled: readonly SettledRefresh[],
): Promise<readonly SettleOutcome[]> {
  try {
    return await database.transaction(async (trx) => {
      const written = await update(trx, settled);
      const outcomes = settled.map(({ claim }) => written.get(keyOf(claim)) ?? 'overtaken');
      await writeAuditRecords(
        trx,
        settled.filter((_, place) => outcomes[place] !== 'overtaken').map(({ record }) => record),
      );
      return outcomes;
    });
  } catch (error) {
    if (!(error instanceof BrokerError) || error.code !== 'STORE_CONFLICT') throw error;
    return settleRest(database, settled, error);
  }
}

/** One of the records was there, or the transaction met another in a circle. */
async function settleRest(
  database: Database,
  settled: readonly SettledRefresh[],
  conflict: BrokerError,
): Promise<readonly SettleOutcome[]> {
  const records = settled.map(({ record }) => record);
  const before = await database.run((db) => writtenRecords(db, records));
  const rest = settled.filter((_, place) => !before[place]);
  if (rest.length === settled.length && settled.length === 1) throw conflict;
  // The rest one by one, where nothing tells which of them it was.
  const parts = rest.length < settled.length ? [rest] : rest.map((one) => [one]);
  const outcomes: SettleOutcome[] = [];
  for (const part of parts.filter(({ length }) => length > 0)) outcomes.push(...(await settleAll(database, part)));
  return before.map((isWritten) => (isWritten ? 'written' : (outcomes.shift() ?? 'overtaken')));
}

/**
 * Whoever has made the channel due since it was claimed (a security event, the revocation of a sibling) wants to know
 * what is true from then on, and this refresh may have asked Google before: their due times stay.
 */
async function update(
  trx: Transaction<Schema>,
  settled: readonly SettledRefresh[],
): Promise<ReadonlyMap<string, SettleOutcome>> {
  // Locked in the order of their ids, so that two such transactions never wait for each other.
  const { rows } = await sql<{ id: string; fence: number; due_again: boolean }>`
    with locked as materialized (
      select id from channels where id = any (${settled.map(({ claim }) => claim.channel.id)}::text[])
      order by id for update
    )
    update channels set
      access_token_cache_key = coalesce(new.cache_key, access_token_cache_key),
      token_expiry = coalesce(new.expiry, token_expiry),
      last_refresh = coalesce(new.refreshed_at, last_refresh),
      refresh_due_at = case when ${isMoved('refresh_due_at', 'claimed_due_at')}
        then least(new.due_at, channels.refresh_due_at) else new.due_at end,
      proof_due_at = case when ${isMoved('proof_due_at', 'claimed_proof_at')}
        then channels.proof_due_at else coalesce(new.proof_due_at, channels.proof_due_at) end,
      refresh_failures = case when new.failure is null then 0 else refresh_failures + 1 end,
      last_failure = new.failure,
      refresh_token_encrypted = coalesce(new.ciphertext, refresh_token_encrypted),
      refresh_token_hash = coalesce(new.hash, refresh_token_hash),
      refresh_token_prefix_hash = coalesce(new.prefix_hash, refresh_token_prefix_hash),
      refresh_token_expires_at =
        case when new.ciphertext is null then refresh_token_expires_at else new.token_ends end,
      claimed_until = null,
      awaited = false
    from locked, unnest(
      ${settled.map(({ claim }) => claim.channel.id)}::text[],
      ${settled.map(({ claim }) => claim.grant.generation)}::integer[],
      ${settled.map(({ claim }) => claim.fence)}::integer[],
      ${settled.map(({ success }) => success?.accessTokenCacheKey ?? null)}::text[],
      ${settled.map(({ success }) => success?.tokenExpiresAt ?? null)}::timestamptz[],
      ${settled.map(({ success }) => success?.refreshedAt ?? null)}::timestamptz[],
      ${settled.map(({ success, failure }) => success?.refreshDueAt ?? failure?.retryAt)}::timestamptz[],
      ${settled.map(({ success }) => success?.proofDueAt ?? null)}::timestamptz[],
      ${settled.map(({ claim }) => claim.grant.refreshDueAt ?? null)}::timestamptz[],
      ${settled.map(({ claim }) => claim.proofDueAt ?? null)}::timestamptz[],
      ${settled.map(({ failure }) => failure?.className ?? null)}::text[],
      ${settled.map(({ success }) => success?.rotated?.refreshTokenEncrypted ?? null)}::text[],
      ${settled.map(({ success }) => success?.rotated?.refreshTokenHash ?? null)}::text[],
      ${settled.map(({ success }) => success?.rotated?.refreshTokenPrefixHash ?? success?.refreshTokenPrefixHash ?? null)}::text[],
      ${settled.map(({ success }) => success?.rotated?.refreshTokenExpiresAt ?? null)}::timestamptz[]
    ) as new (id, generation, fence, cache_key, expiry, refreshed_at, due_at, proof_due_at, claimed_due_at, claimed_proof_at,
      failure, ciphertext, hash, prefix_hash, token_ends)
    where channels.id = locked.id and channels.id = new.id
      and channels.generation = new.generation and channels.claim_fence = new.fence
    returning channels.id, channels.claim_fence as fence, channels.refresh_due_at < new.due_at as due_again`.execute(
    trx,
  );
  return new Map(rows.map(({ id, fence, due_again: again }) => [`${id} ${fence}`, again ? 'due_again' : 'written']));
}

/** A claim knows milliseconds; what SQL has computed is finer. */
function isMoved(column: string, claimed: string) {
  return sql.raw(`date_trunc('milliseconds', channels.${column}) is distinct from new.${claimed}`);
}

function keyOf({ channel, fence }: SettledRefresh['claim']): string {
  return `${channel.id} ${fence}`;
}
