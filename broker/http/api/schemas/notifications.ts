/** Notifications on the wire. */
import * as z from 'zod';
import { notificationStates, notificationTypes } from '../../../domain/notification.ts';
import { component, instant, name } from './common.ts';

export const notificationFilter = z.strictObject({
  tenant: name.optional(),
  channel: z.string().max(64).optional(),
  state: z.enum(notificationStates).optional().describe('`dead` for dead letters.'),
  limit: z
    .string()
    .regex(/^\d{1,4}$/)
    .optional()
    .describe('100 where absent, 1000 at most.'),
});

export const notification = component(
  'Notification',
  z.object({
    id: z.string().describe('Its webhook-id, on each delivery the same.'),
    type: z.enum(notificationTypes),
    at: instant.describe('Of what it tells.'),
    tenant: z.string().nullable(),
    channel: z.string().nullable(),
    generation: z.int().nullable().describe('Of the channel’s grant that it is about.'),
    oauth_client: z.string().nullable(),
    facts: z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])).describe('As they are told.'),
    state: z.enum(notificationStates),
    attempts: z.int().describe('Tries since it was written or sent again.'),
    next_attempt_at: instant.nullable(),
    last_attempt_at: instant.nullable(),
    last_problem: z.string().nullable().describe('Why the last try failed, as a code.'),
    ended_at: instant.nullable().describe('When it was delivered, given up or found to be true no more.'),
  }),
);

export const notificationList = component('NotificationList', z.object({ notifications: z.array(notification) }));

export const newSigningSecret = component(
  'NewSigningSecret',
  z.strictObject({
    secret: z
      .string()
      .min(1)
      .max(128)
      .describe('`whsec_` and the base64 of 24 to 64 random bytes (Standard Webhooks).'),
  }),
);

export const signingSecret = component(
  'SigningSecret',
  z.object({
    both_until: instant.nullable().describe('Until when the former one signs beside it; null where there was none.'),
  }),
);

export type NotificationAnswer = z.output<typeof notification>;

export type SigningSecretAnswer = z.output<typeof signingSecret>;
