/** What people do with notifications: look at them, have one sent again, change the secret that they are signed with. */
import { administersTenant, isOperator } from '../domain/access-policy.ts';
import { type AuditAction, auditRecord } from '../domain/audit-record.ts';
import type { Person } from '../domain/caller.ts';
import { isNotificationId, isOutdated, type NotificationState } from '../domain/notification.ts';
import type { Secret } from '../domain/secret.ts';
import { BrokerError } from '../errors.ts';
import type { Clock, SigningSecrets, Store, StoredNotification } from '../ports.ts';
import type { Authorize } from './authorize.ts';
import { onRecord } from './on-record.ts';

export interface ManageNotifications {
  /** The newest first. Operators see all, a tenant's admins those of their tenants; nobody sees a link. */
  list(
    caller: Person,
    input: { tenant?: string; channel?: string; state?: NotificationState; limit: number },
  ): Promise<readonly StoredNotification[]>;
  show(caller: Person, input: { id: string }): Promise<StoredNotification>;
  /** Delivers it (again) under the same id, with a new link; throws NOTIFICATION_OUTDATED where it is true no more. */
  resend(caller: Person, input: { id: string }): Promise<StoredNotification>;
  /** Puts a new secret in front; both sign until the instant that is answered. For operators. */
  setSecret(caller: Person, input: { secret: Secret<string> }): Promise<{ readonly bothUntil: Date | undefined }>;
}

export function createManageNotifications(deps: {
  readonly authorize: Authorize;
  readonly store: Store;
  readonly signingSecrets: SigningSecrets;
  readonly clock: Clock;
  readonly operatorsGroup: string;
}): ManageNotifications {
  const { authorize, store, clock } = deps;

  async function find(caller: Person, action: AuditAction, id: string): Promise<StoredNotification> {
    const found = isNotificationId(id) ? await store.notifications.find(id) : undefined;
    if (found && isOperator(caller, deps.operatorsGroup)) return found;
    const tenant = found?.tenant === undefined ? undefined : await store.tenants.find(found.tenant);
    if (found && administersTenant(caller, tenant)) return found;
    const detail = found ? 'neither an operator nor an admin of its tenant' : 'unknown';
    return authorize.refuse(caller, action, 'NOTIFICATION_NOT_FOUND', { tenant: found?.tenant }, detail);
  }

  return {
    async list(caller, { tenant, channel, state, limit }) {
      const all = isOperator(caller, deps.operatorsGroup);
      const own = all ? [] : (await store.tenants.list()).filter((one) => administersTenant(caller, one));
      const names = own.map(({ name }) => name);
      if (!all && (names.length === 0 || (tenant !== undefined && !names.includes(tenant)))) {
        const detail = 'neither an operator nor an admin of the tenant';
        return authorize.refuse(caller, 'notification.list', 'ACCESS_DENIED', { tenant }, detail);
      }
      await authorize.looked(caller, 'notification.list', { tenant });
      const tenants = tenant !== undefined ? [tenant] : all ? undefined : names;
      return store.notifications.list({ tenants, channel, state, limit });
    },

    async show(caller, { id }) {
      const found = await find(caller, 'notification.show', id);
      const { tenant, channel } = found;
      await authorize.looked(caller, 'notification.show', { tenant, channel }, { notification: id });
      return found;
    },

    async resend(caller, { id }) {
      const found = await find(caller, 'notification.resend', id);
      const { tenant, channel } = found;
      const about = channel === undefined ? undefined : await store.channels.find(channel);
      if (about && isOutdated(found, about)) {
        throw new BrokerError('NOTIFICATION_OUTDATED', { detail: `channel is ${about.state}` });
      }
      const now = clock.now();
      const facts = { notification: id, type: found.type, formerly: found.state };
      await store.notifications.resend(
        id,
        now,
        auditRecord(now, caller, 'notification.resend', 'ok', { tenant, channel }, facts),
      );
      return (await store.notifications.find(id)) ?? found;
    },

    async setSecret(caller, { secret }) {
      await authorize.operator(caller, 'notification.set-secret');
      if (!isSigningSecret(secret.reveal())) {
        const problem = 'secret: must be whsec_ and the base64 of 24 to 64 random bytes';
        throw new BrokerError('INVALID_REQUEST', { problems: [problem] });
      }
      let bothUntil: Date | undefined;
      await onRecord(deps, caller, 'notification.set-secret', {}, async () => {
        bothUntil = await deps.signingSecrets.replace(secret);
        return {};
      });
      return { bothUntil };
    },
  };
}

/** As the Standard Webhooks specification has it. */
function isSigningSecret(text: string): boolean {
  const [, base64 = ''] = /^whsec_([A-Za-z0-9+/]+={0,2})$/.exec(text) ?? [];
  const { length } = Buffer.from(base64, 'base64');
  return length >= 24 && length <= 64 && Buffer.from(base64, 'base64').toString('base64') === base64;
}
