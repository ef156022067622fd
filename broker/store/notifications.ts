/**
 * Notifications up to their end, in the table `notifications`; `notify.ts` writes them. The row decides what is done with
 * one, the jobs only wake whoever looks: each claim moves the job to the claim's end, so that a broker that dies is
 * followed by another, and each step after it moves or removes the job in its own transaction.
 */
import { sql, type Transaction } from 'kysely';
import type { DeliveryClaim, Notifications } from '../ports.ts';
import { expectChanged } from './conflict.ts';
import type { Database } from './database.ts';
import { addDelivery, removeDelivery } from './delivery-jobs.ts';
import { toNotification } from './notification-row.ts';
import { recorded } from './recorded.ts';
import type { Schema } from './schema.ts';

/** After the end of a claim, so that whoever is woken finds it ended. */
const afterClaimMs = 1_000;

export function createNotifications(database: Database): Omit<Notifications, 'expiring' | 'tellExpiring' | 'work'> {
  return {
    async find(id) {
      const row = await database.run((db) =>
        db.selectFrom('notifications').selectAll().where('id', '=', id).executeTakeFirst(),
      );
      return row && toNotification(row);
    },

    async list({ tenants, channel, state, limit }) {
      const rows = await database.run((db) => {
        let query = db.selectFrom('notifications').selectAll();
        if (tenants !== undefined) query = query.where('tenant', '=', sql<string>`any(${tenants})`);
        if (channel !== undefined) query = query.where('channel', '=', channel);
        if (state !== undefined) query = query.where('state', '=', state);
        return query.orderBy('at', 'desc').orderBy('id').limit(limit).execute();
      });
      return rows.map(toNotification);
    },

    async due(now, limit) {
      const rows = await database.run((db) =>
        db
          .selectFrom('notifications')
          .select('id')
          .where('state', '=', 'waiting')
          .where('due_at', '<=', now)
          .where((row) => row.or([row('claimed_until', 'is', null), row('claimed_until', '<=', now)]))
          .orderBy('due_at')
          .limit(limit)
          .execute(),
      );
      return rows.map(({ id }) => id);
    },

    claim: (id, now, until) =>
      database.transaction(async (trx) => {
        const row = await trx
          .selectFrom('notifications')
          .select(['state', 'due_at', 'claimed_until'])
          .where('id', '=', id)
          .forUpdate()
          .executeTakeFirst();
        if (row?.state !== 'waiting') return undefined;
        const free = Math.max(row.due_at.getTime(), row.claimed_until?.getTime() ?? 0);
        if (free > now.getTime()) {
          await addDelivery(trx, id, free - now.getTime() + afterClaimMs);
          return undefined;
        }
        const claimed = await trx
          .updateTable('notifications')
          .set((columns) => ({
            attempts: columns('attempts', '+', 1),
            claimed_until: until,
            first_attempt_at: columns.fn.coalesce('first_attempt_at', columns.val(now)),
            last_attempt_at: now,
          }))
          .where('id', '=', id)
          .returningAll()
          .executeTakeFirstOrThrow();
        await addDelivery(trx, id, until.getTime() - now.getTime() + afterClaimMs);
        return { notification: toNotification(claimed), claimedUntil: until };
      }),

    delivered: (claim, at) => end(claim, { state: 'delivered', ended_at: at, last_problem: null }),

    superseded: (claim, at) => end(claim, { state: 'superseded', ended_at: at }),

    postponed: (claim, { at, dueAt, problem, counted }) =>
      database.transaction(async (trx) => {
        const { numUpdatedRows } = await claimed(trx, claim)
          .set((columns) => ({
            due_at: dueAt,
            claimed_until: null,
            last_problem: problem,
            ...(counted
              ? {}
              : {
                  attempts: columns('attempts', '-', 1),
                  // As if nothing had been tried: only the receiver's time is counted.
                  ...(claim.notification.attempts === 1 && { first_attempt_at: null }),
                }),
          }))
          .executeTakeFirst();
        if (numUpdatedRows > 0n) await addDelivery(trx, claim.notification.id, dueAt.getTime() - at.getTime());
        return numUpdatedRows > 0n;
      }),

    died: (claim, at, problem, record) =>
      recorded(database, record, async (trx) => {
        const result = await claimed(trx, claim)
          .set({ state: 'dead', ended_at: at, claimed_until: null, last_problem: problem })
          .executeTakeFirst();
        expectChanged(result, `the delivery of ${claim.notification.id} was taken over`);
        await removeDelivery(trx, claim.notification.id);
      }),

    resend: (id, at, record) =>
      recorded(database, record, async (trx) => {
        const result = await trx
          .updateTable('notifications')
          .set({
            state: 'waiting',
            attempts: 0,
            due_at: at,
            ended_at: null,
            first_attempt_at: null,
            claimed_until: null,
          })
          .where('id', '=', id)
          .where((row) => row.or([row('claimed_until', 'is', null), row('claimed_until', '<=', at)]))
          .executeTakeFirst();
        expectChanged(result, `${id} is being delivered`);
        await addDelivery(trx, id, 0);
      }),

    wakeOverdue: (before, limit) =>
      database.transaction(async (trx) => {
        const rows = await trx
          .selectFrom('notifications')
          .select('id')
          .where('state', '=', 'waiting')
          .where('due_at', '<=', before)
          .where((row) => row.or([row('claimed_until', 'is', null), row('claimed_until', '<=', before)]))
          .where(({ not, exists }) =>
            not(exists(sql`(select from graphile_worker._private_jobs where key = notifications.id)`)),
          )
          .orderBy('due_at')
          .limit(limit)
          .execute();
        for (const { id } of rows) await addDelivery(trx, id, 0);
        return rows.length;
      }),
  };

  function end(
    claim: DeliveryClaim,
    outcome: { state: 'delivered' | 'superseded'; ended_at: Date; last_problem?: null },
  ): Promise<boolean> {
    return database.transaction(async (trx) => {
      const { numUpdatedRows } = await claimed(trx, claim)
        .set({ ...outcome, claimed_until: null })
        .executeTakeFirst();
      if (numUpdatedRows > 0n) await removeDelivery(trx, claim.notification.id);
      return numUpdatedRows > 0n;
    });
  }
}

/** The notification, where this very claim still holds: no two end at the same instant. */
function claimed(trx: Transaction<Schema>, { notification, claimedUntil }: DeliveryClaim) {
  return trx.updateTable('notifications').where('id', '=', notification.id).where('claimed_until', '=', claimedUntil);
}
