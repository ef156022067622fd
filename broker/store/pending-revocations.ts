/**
 * Revocations from the database to Google's answer and, after that, to the proof of the siblings.
 *
 * An attempt is counted when it is claimed, before Google is asked, and a report names its number: where the claim has lapsed
 * and another broker has asked since, or a newer refresh token was stored, the older report changes nothing.
 */
import { type Kysely, sql, type Transaction } from 'kysely';
import { mayEndSiblings, siblingProofAt } from '../domain/revocation.ts';
import type { Revocations } from '../ports.ts';
import { toChannel } from './channel-row.ts';
import { expectChanged } from './conflict.ts';
import type { Database } from './database.ts';
import { dueAt } from './due-channels.ts';
import { recorded } from './recorded.ts';
import type { Schema } from './schema.ts';
import { project, siblings } from './siblings.ts';

const provenAtOnce = 100;

export function createPendingRevocations(
  database: Database,
): Pick<Revocations, 'claim' | 'wouldEndOthers' | 'tried' | 'proveSiblings' | 'nextDue' | 'reached'> {
  return {
    claim: (now, until, limit) =>
      database.transaction(async (trx) => {
        const free = await trx
          .selectFrom('channel_revocations')
          .select('channel')
          .where('outcome', 'is', null)
          .where('due_at', '<=', now)
          .where((row) => row.or([row('claimed_until', 'is', null), row('claimed_until', '<=', now)]))
          .orderBy('due_at')
          .limit(limit)
          .forUpdate()
          .skipLocked()
          .execute();
        if (free.length === 0) return [];
        const taken = free.map(({ channel }) => channel);
        const claimed = await trx
          .updateTable('channel_revocations')
          .set((row) => ({ claimed_until: until, attempts: row('attempts', '+', 1) }))
          .where('channel', 'in', taken)
          .returning(['channel', 'generation', 'attempts'])
          .execute();
        const rows = await trx.selectFrom('channels').selectAll().where('id', 'in', taken).execute();
        const channels = new Map(rows.map((row) => [row.id, toChannel(row)]));
        return claimed.flatMap(({ channel: id, generation, attempts: attempt }) => {
          const channel = channels.get(id);
          return channel ? [{ channel, generation, attempt }] : [];
        });
      }),

    async wouldEndOthers(channel) {
      const other = await database.run((db) =>
        siblings(db)
          .innerJoin('channel_revocations as revocation', 'revocation.channel', 'own.id')
          .select('other.id')
          .where('own.id', '=', channel)
          .where(sql<boolean>`other.id || ':' || other.generation <> all (revocation.accepted)`)
          .limit(1)
          .executeTakeFirst(),
      );
      return other !== undefined;
    },

    tried: ({ channel, attempt }, { outcome, at, dueAt }, record) =>
      recorded(database, record, async (trx) => {
        const result = await trx
          .updateTable('channel_revocations')
          .set({
            due_at: dueAt,
            claimed_until: null,
            ...(outcome && { outcome, answered_at: at, proofs: 0, prove_at: mayEndSiblings(outcome) ? at : null }),
          })
          .where('channel', '=', channel.id)
          .where('attempts', '=', attempt)
          .where('outcome', 'is', null)
          .executeTakeFirst();
        expectChanged(result, `attempt ${attempt} to revoke ${channel.id} is not the newest`);
      }),

    proveSiblings: (now) =>
      database.transaction(async (trx) => {
        const due = await trx
          .selectFrom('channel_revocations')
          .select(['channel', 'answered_at', 'proofs'])
          .where('prove_at', '<=', now)
          .orderBy('prove_at')
          .limit(provenAtOnce)
          .forUpdate()
          .skipLocked()
          .execute();
        for (const { channel, answered_at, proofs } of due) {
          const next = siblingProofAt(answered_at ?? now, proofs + 1);
          await trx
            .updateTable('channel_revocations')
            .set({ proofs: proofs + 1, prove_at: next ?? null })
            .where('channel', '=', channel)
            .execute();
        }
        return due.length === 0
          ? 0
          : makeDue(
              trx,
              due.map(({ channel }) => channel),
              now,
            );
      }),

    async nextDue() {
      const { rows } = await database.run((db) =>
        sql<{ due: Date | null }>`
          select least(
            (select min(greatest(due_at, claimed_until)) from channel_revocations where outcome is null),
            (select min(prove_at) from channel_revocations where prove_at is not null)
          ) as due`.execute(db),
      );
      return rows[0]?.due ?? undefined;
    },

    reached: (channel, since) => database.run((db) => isReached(db, channel, since)),
  };
}

/** Whether Google may have ended the channel's grant with that of a sibling that was revoked since. */
export async function isReached(db: Kysely<Schema>, channel: string, since: Date): Promise<boolean> {
  // `already_invalid` at the first attempt: what ended the grant was not us.
  const { rows } = await sql`
    select from channels own
      join channels other on other.google_subject = own.google_subject and other.id <> own.id
      join channel_revocations revocation on revocation.channel = other.id
      join oauth_clients own_client on own_client.name = own.oauth_client
      join oauth_clients other_client on other_client.name = other.oauth_client
    where own.id = ${channel} and ${project('own_client')} = ${project('other_client')}
      and (
        (outcome is null and attempts > 0)
        or (answered_at >= ${since} and (outcome = 'revoked' or (outcome <> 'unreadable' and attempts > 1)))
      )
    limit 1`.execute(db);
  return rows.length > 0;
}

/** In the order of their ids, so that two brokers never wait for each other in a circle. */
async function makeDue(trx: Transaction<Schema>, revoked: readonly string[], now: Date): Promise<number> {
  const alive = await toProve(trx, revoked, now).execute();
  for (const { id } of alive) {
    await trx
      .updateTable('channels')
      .set({ refresh_due_at: dueAt(now) })
      .where('id', '=', id)
      .execute();
  }
  return alive.length;
}

/** Those that are suspended are proven when they are resumed. */
function toProve(db: Kysely<Schema>, revoked: readonly string[], now: Date) {
  return siblings(db)
    .select('other.id')
    .distinct()
    .where('own.id', 'in', revoked)
    .where('other.state', '=', 'active')
    .where((row) =>
      row.or([
        row('other.refresh_due_at', 'is', null),
        row('other.refresh_due_at', '>', now),
        // Its refresh may have asked Google before the revocation took effect.
        row('other.claimed_until', 'is not', null),
      ]),
    )
    .orderBy('other.id');
}
