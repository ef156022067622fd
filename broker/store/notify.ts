/**
 * Writes notifications inside the transaction of what they tell of: both are there or neither, and a change that is made
 * once is told once, also where the commit's answer was lost and the caller tries again. Call it after the change and
 * before the record, which is the last thing that a transaction does.
 */
import type { Transaction } from 'kysely';
import { type ChannelStep, type NewNotification, notificationId, notificationOfStep } from '../domain/notification.ts';
import { addDelivery } from './delivery-jobs.ts';
import type { Schema } from './schema.ts';

/** Tells of something, once: answers its id, or undefined where the same occasion was told before. */
export async function notify(trx: Transaction<Schema>, told: NewNotification): Promise<string | undefined> {
  const id = notificationId(told);
  const { numInsertedOrUpdatedRows: written } = await trx
    .insertInto('notifications')
    .values({
      id,
      type: told.type,
      occasion: told.occasion,
      at: told.at,
      tenant: told.tenant ?? null,
      channel: told.channel ?? null,
      generation: told.generation ?? null,
      oauth_client: told.oauthClient ?? null,
      facts: JSON.stringify(told.facts ?? {}),
      due_at: told.at,
    })
    .onConflict((conflict) => conflict.column('id').doNothing())
    .executeTakeFirst();
  if (written === 0n) return undefined;
  await addDelivery(trx, id, 0);
  return id;
}

/** Tells of a channel's step from one state to another, where anybody outside has to hear of it. */
export async function notifyStep(trx: Transaction<Schema>, step: ChannelStep): Promise<void> {
  const told = notificationOfStep(step);
  if (told) await notify(trx, told);
}

/** The same for a channel whose row has been updated in this transaction. */
export async function notifyStepOf(
  trx: Transaction<Schema>,
  step: Omit<ChannelStep, 'tenant' | 'oauthClient' | 'generation'>,
): Promise<void> {
  const row = await trx
    .selectFrom('channels')
    .select(['tenant', 'oauth_client', 'generation'])
    .where('id', '=', step.channel)
    .executeTakeFirstOrThrow();
  const { tenant, oauth_client: oauthClient, generation } = row;
  await notifyStep(trx, { ...step, tenant, oauthClient, generation });
}
