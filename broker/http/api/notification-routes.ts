/** The part of the admin API that shows notifications and has them sent again. */
import { Secret } from '../../domain/secret.ts';
import type { StoredNotification } from '../../ports.ts';
import { type Route, route } from './route.ts';
import * as wire from './schemas.ts';

const usualLimit = 100;
const highestLimit = 1_000;

export const notificationRoutes: readonly Route[] = [
  route(
    {
      method: 'get',
      path: '/v1/notifications',
      operationId: 'listNotifications',
      summary: 'Lists notifications, the newest first: operators see all, a tenant’s admins the tenant’s.',
      status: 200,
    },
    { query: wire.notificationFilter, answer: wire.notificationList },
    async ({ caller, query }, { flows }) => {
      const limit = Math.max(1, Math.min(Number(query.limit ?? usualLimit), highestLimit));
      const { tenant, channel, state } = query;
      const filter = { ...(tenant && { tenant }), ...(channel && { channel }), ...(state && { state }), limit };
      return { notifications: (await flows.manageNotifications.list(caller, filter)).map(viewNotification) };
    },
  ),
  route(
    {
      method: 'get',
      path: '/v1/notifications/{notification}',
      operationId: 'showNotification',
      summary: 'Shows a notification and how far its delivery is.',
      status: 200,
    },
    { answer: wire.notification },
    async ({ caller, notification: id }, { flows }) =>
      viewNotification(await flows.manageNotifications.show(caller, { id })),
  ),
  route(
    {
      method: 'post',
      path: '/v1/notifications/{notification}/resend',
      operationId: 'resendNotification',
      summary: 'Delivers a notification (again), under the same id and with a new consent link.',
      status: 200,
    },
    { answer: wire.notification },
    async ({ caller, notification: id }, { flows }) =>
      viewNotification(await flows.manageNotifications.resend(caller, { id })),
  ),
  route(
    {
      method: 'post',
      path: '/v1/notification-secrets',
      operationId: 'setNotificationSecret',
      summary: 'Puts a new signing secret in front; the former one signs beside it for a while. For operators.',
      status: 200,
    },
    { body: wire.newSigningSecret, answer: wire.signingSecret },
    async ({ caller, body }, { flows }) => {
      const secret = new Secret(body.secret);
      const { bothUntil } = await flows.manageNotifications.setSecret(caller, { secret });
      return { both_until: bothUntil?.toISOString() ?? null };
    },
  ),
];

/** Without any link: those are made at delivery, and told to the receiver only. */
function viewNotification(notification: StoredNotification): wire.NotificationAnswer {
  return {
    id: notification.id,
    type: notification.type,
    at: notification.at.toISOString(),
    tenant: notification.tenant ?? null,
    channel: notification.channel ?? null,
    generation: notification.generation ?? null,
    oauth_client: notification.oauthClient ?? null,
    facts: { ...notification.facts },
    state: notification.state,
    attempts: notification.attempts,
    next_attempt_at: notification.state === 'waiting' ? notification.dueAt.toISOString() : null,
    last_attempt_at: notification.lastAttemptAt?.toISOString() ?? null,
    last_problem: notification.lastProblem ?? null,
    ended_at: notification.endedAt?.toISOString() ?? null,
  };
}
