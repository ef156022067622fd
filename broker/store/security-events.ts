import { type Selectable, sql, type Transaction } from 'kysely';
import type { AuditRecord } from '../domain/audit-record.ts';
import type { StateReason } from '../domain/channel.ts';
import { lateWindowMs } from '../domain/revocation.ts';
import {
  type SecurityEvent,
  type SecurityEventAct,
  type SecurityEventSubject,
  type SecurityEventToken,
  tellsWhy,
  youngestConcerned,
} from '../domain/security-event.ts';
import type { SecurityEvents } from '../ports.ts';
import { writeAuditRecords } from './audit-writer.ts';
import type { Database } from './database.ts';
import { dueAt } from './due-channels.ts';
import { notifyStepOf } from './notify.ts';
import { isReached } from './pending-revocations.ts';
import type { ChannelsTable, Schema } from './schema.ts';

/** So long a token that is sent again is known. After that it does nothing that is not true, once more. */
const rememberMs = 30 * 24 * 3_600_000;
/** Rows that are forgotten with each new one: more than come, so that the table does not grow for ever. */
const forgottenAtOnce = 100;
/** More channels of one account than this are left to their daily proof. */
const mostChannels = 1_000;

type Concerned = Pick<Selectable<ChannelsTable>, 'id' | 'tenant' | 'state' | 'reason' | 'generation'>;

/** Google's security events in the tables `security_events` and `channels`. */
export function createSecurityEvents(database: Database): SecurityEvents {
  return {
    take: (token, at, recordOf, recordOfAll) =>
      database.transaction(async (trx) => {
        if (!(await isNew(trx, token, at))) return false;
        await forget(trx, new Date(at.getTime() - rememberMs));
        const records: AuditRecord[] = [];
        const found = new Set<string>();
        for (const event of token.events) {
          if (!event.concerns) continue;
          const { subject, act } = event.concerns;
          for (const channel of await concerned(trx, subject, token.issuedAt)) {
            await stamp(trx, event, channel, token.issuedAt);
            const touched = await touch(trx, event.type, act, channel, at);
            records.push(recordOf(event, touched.act, channel, touched.ended));
            found.add(channel.id);
          }
        }
        await writeAuditRecords(trx, [...records, recordOfAll(found.size)]);
        return true;
      }),
  };
}

/** A second broker that takes the same token waits here for the first one's commit. */
async function isNew(trx: Transaction<Schema>, token: SecurityEventToken, at: Date): Promise<boolean> {
  const { numInsertedOrUpdatedRows: inserted } = await trx
    .insertInto('security_events')
    .values({
      jti: token.jti,
      types: token.events.map(({ type }) => type),
      issued_at: token.issuedAt,
      received_at: at,
    })
    .onConflict((conflict) => conflict.column('jti').doNothing())
    .executeTakeFirstOrThrow();
  return inserted === 1n;
}

async function forget(trx: Transaction<Schema>, before: Date): Promise<void> {
  await sql`
    delete from security_events where jti in (
      select jti from security_events where received_at < ${before}
      order by received_at limit ${forgottenAtOnce}
    )`.execute(trx);
}

/** Channels whose present grant the event is about, locked in the order of their ids. */
function concerned(
  trx: Transaction<Schema>,
  subject: SecurityEventSubject,
  issuedAt: Date,
): Promise<readonly Concerned[]> {
  const grants = trx
    .selectFrom('channels')
    .select(['id', 'tenant', 'state', 'reason', 'generation'])
    .where('refresh_token_encrypted', 'is not', null)
    .where('state', '<>', 'revoked')
    .orderBy('id')
    .limit(mostChannels)
    .forUpdate();
  switch (subject.by) {
    case 'token-hash':
      return grants.where('refresh_token_hash', '=', subject.refreshTokenHash).execute();
    case 'token-prefix':
      return grants.where('refresh_token_prefix_hash', '=', subject.refreshTokenPrefixHash).execute();
    case 'account':
      return grants
        .where('google_subject', '=', subject.googleSubject)
        .where('consented_at', '<=', youngestConcerned(issuedAt))
        .execute();
  }
}

/** Makes an active channel due for its proof now, or ends its grant: answers what was done, and the reason of the end. */
async function touch(
  trx: Transaction<Schema>,
  type: string,
  act: SecurityEventAct,
  { id, state, reason: former }: Concerned,
  at: Date,
): Promise<{ readonly act: SecurityEventAct; readonly ended?: StateReason }> {
  if (type === 'account-enabled' && state === 'needs_reconsent' && former === 'account_disabled') {
    await trx.updateTable('channels').set({ wake_at: at }).where('id', '=', id).execute();
    return { act: 'wake' };
  }
  if (act === 'note' || state !== 'active') return { act };
  const update = trx.updateTable('channels').where('id', '=', id);
  if (act === 'prove') {
    await update.set({ refresh_due_at: dueAt(at), proof_due_at: at }).execute();
    return { act };
  }
  // Where we revoked a sibling at Google, it is that of which Google tells.
  const isOurs = await isReached(trx, id, new Date(at.getTime() - lateWindowMs));
  const reason = isOurs ? 'sibling_revoked' : 'grant_revoked';
  await update.set({ state: 'needs_reconsent', reason, updated_at: at }).execute();
  await notifyStepOf(trx, { channel: id, from: state, to: 'needs_reconsent', reason, at });
  return { act, ended: reason };
}

/** Keeps what would tell why the grant ended, or takes it back. */
async function stamp(
  trx: Transaction<Schema>,
  { type }: SecurityEvent,
  { id }: Concerned,
  issuedAt: Date,
): Promise<void> {
  const update = trx.updateTable('channels').where('id', '=', id);
  if (type === 'account-enabled') {
    await update
      .set({ security_event: null, security_event_at: null })
      .where('security_event', '=', 'account-disabled')
      .where('security_event_at', '<=', issuedAt)
      .execute();
  } else if (tellsWhy(type)) {
    await update.set({ security_event: type, security_event_at: issuedAt }).execute();
  }
}
