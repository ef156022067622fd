import { sql } from 'kysely';
import type { RetentionCutoffs, RetentionKind } from '../domain/retention.ts';
import { BrokerError } from '../errors.ts';
import type { Retention, RetentionCount, RetentionItem } from '../ports.ts';
import type { Database } from './database.ts';
import { recorded } from './recorded.ts';

/**
 * Deletes what is kept no longer: grants and identities out of `channels`, requests and rows out of `consents`,
 * `notifications`.
 */
export function createRetention(database: Database): Retention {
  return {
    count: (cutoffs) =>
      database.run(async (db) => {
        const { rows } = await sql<RetentionCount>`
          select tenant, kind, count(*)::integer as count from (${due(cutoffs)}) as due
            group by tenant, kind order by tenant, kind`.execute(db);
        return rows;
      }),

    due: (cutoffs, limit) =>
      database.run(async (db) => {
        const { rows } = await sql<RetentionItem>`
          select tenant, kind, id from (${due(cutoffs)}) as due order by since, id limit ${limit}`.execute(db);
        return rows;
      }),

    scrub: (items, cutoffs, at, record) =>
      recorded(database, record, async (trx) => {
        const ids = (...kinds: readonly RetentionKind[]) =>
          items.filter(({ kind }) => kinds.includes(kind)).map(({ id }) => id);
        const scrubbed = await sql`
          update channels set
              refresh_token_encrypted = null, refresh_token_hash = null, refresh_token_prefix_hash = null,
              refresh_token_expires_at = null, security_event = null, security_event_at = null, dpop_key_version = null, scopes = null,
              consented_at = null, google_subject = null, youtube_channel_id = null, youtube_title = null,
              access_token_cache_key = null, token_expiry = null, last_refresh = null, refresh_due_at = null,
              refresh_failures = 0, last_failure = null, claimed_until = null, awaited = false,
              proof_due_at = null, wake_at = null, scrubbed_at = ${at}
            where id = any (${ids('revoked', 'dead')}::text[]) and ${channelIsDue(cutoffs)}`.execute(trx);
        const cleared = await sql`
          update consents set
              state_hash = null, browser_hash = null, code_verifier_encrypted = null, nonce = null, started_at = null,
              request_expires_at = null, taken_at = null
            where id = any (${ids('request')}::text[]) and ${requestIsDue(cutoffs)}`.execute(trx);
        const deleted = await sql`
          delete from consents where id = any (${ids('link')}::text[]) and ${linkIsDue(cutoffs)}`.execute(trx);
        const forgotten = await sql`
          with forgotten as (
            delete from notifications
              where id = any (${ids('notification')}::text[]) and ${notificationIsDue(cutoffs)} returning id
          )
          select graphile_worker.remove_job(id) from forgotten`.execute(trx);
        const gone = { numAffectedRows: BigInt(forgotten.rows.length) };
        const done = [scrubbed, cleared, deleted, gone].reduce(
          (sum, { numAffectedRows = 0n }) => sum + numAffectedRows,
          0n,
        );
        if (done !== BigInt(items.length)) {
          throw new BrokerError('STORE_CONFLICT', { detail: `${done} of ${items.length} things were due` });
        }
      }),
  };
}

/** Everything whose time has come, each with the instant that it counts from; a consent is one or the other. */
function due(cutoffs: RetentionCutoffs) {
  return sql`
    select tenant, case state when 'revoked' then 'revoked' else 'dead' end as kind, id, state_changed_at as since
      from channels where ${channelIsDue(cutoffs)}
    union all
    select tenant, 'link', id, coalesce(completed_at, link_expires_at) from consents where ${linkIsDue(cutoffs)}
    union all
    select tenant, 'request', id, request_expires_at from consents
      where ${requestIsDue(cutoffs)} and not (${linkIsDue(cutoffs)})
    union all
    select coalesce(tenant, ''), 'notification', id, coalesce(ended_at, at) from notifications
      where ${notificationIsDue(cutoffs)}`;
}

/** Not while Google has yet to be told, by a revocation or by a shred: it is the refresh token that tells it. */
function channelIsDue({ revoked, dead }: RetentionCutoffs) {
  return sql`scrubbed_at is null and (
    (state = 'revoked' and state_changed_at <= ${revoked} and not exists (
      select from channel_revocations revocation where revocation.channel = channels.id and outcome is null
      union all
      select from tenant_shred_revocations revocation
        where revocation.channel = channels.id and coalesce(outcome, 'failed') = 'failed'
    )) or (state = 'needs_reconsent' and state_changed_at <= ${dead})
  )`;
}

/** Never while a received refresh token waits for its checks: that consent is alive. */
function requestIsDue({ consent }: RetentionCutoffs) {
  return sql`status <> 'received' and state_hash is not null and request_expires_at <= ${consent}`;
}

/** The newest of a channel stays: it tells the admin how the last try ended. */
function linkIsDue({ consent }: RetentionCutoffs) {
  return sql`status <> 'received' and coalesce(completed_at, link_expires_at) <= ${consent}
    and coalesce(request_expires_at <= ${consent}, true)
    and exists (
      select from consents newer where newer.channel = consents.channel and newer.created_at > consents.created_at
    )`;
}

/**
 * Told, or true no more, or never to be told in all that time, since there is no receiver. That a grant will end by itself
 * stays for as long as the grant may live: by the row it is known that it was told.
 */
function notificationIsDue({ notification }: RetentionCutoffs) {
  return sql`coalesce(ended_at, at) <= ${notification}
    and (state <> 'waiting' or (first_attempt_at is null and claimed_until is null))
    and not (type = 'channel.expiring' and exists (
      select from channels
      where channels.id = notifications.channel and channels.generation = notifications.generation
        and channels.state in ('active', 'suspended')
    ))`;
}
