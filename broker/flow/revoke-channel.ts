/**
 * A channel is revoked, for good: by a person who has seen what ends with it. From the commit on nothing of it is served;
 * Google is told by whichever broker is there (`continue-revocations.ts`).
 */
import { type AuditAction, auditRecord } from '../domain/audit-record.ts';
import type { Person } from '../domain/caller.ts';
import type { Channel } from '../domain/channel.ts';
import { asBrokerError } from '../errors.ts';
import type { ChannelRevocation, Clock, Store } from '../ports.ts';
import type { Authorize } from './authorize.ts';
import { planRevocation, type ShownRevocationPlan, showPlanTo } from './revocation-plan.ts';

export interface RevocationStatus {
  readonly channel: Channel;
  /** Undefined where there was nothing to revoke at Google, or the channel is not revoked. */
  readonly revocation: ChannelRevocation | undefined;
}

export interface RevokeChannelDeps {
  readonly authorize: Authorize;
  readonly store: Store;
  readonly clock: Clock;
  readonly operatorsGroup: string;
  /** Has Google told now. */
  readonly wakeRevocations: () => void;
}

export function createRevokeChannel(deps: RevokeChannelDeps) {
  const { authorize, store, clock } = deps;

  async function planFor(person: Person, action: AuditAction, id: string) {
    const channel = await authorize.channel(person, action, id);
    const plan = await planRevocation(store, channel);
    return { plan, shown: await showPlanTo(person, plan, deps) };
  }

  return {
    /** The dry run: what would end. */
    async plan(person: Person, input: { readonly channel: string }): Promise<ShownRevocationPlan> {
      const { plan, shown } = await planFor(person, 'channel.revoke-plan', input.channel);
      const target = { tenant: plan.channel.tenant, channel: plan.channel.id };
      await authorize.looked(person, 'channel.revoke-plan', target, { siblings: plan.siblings.length });
      return shown;
    },

    /** Throws REVOCATION_PLAN_CHANGED where `plan`, the digest of what the person agreed to, is not what would end now. */
    async revoke(
      person: Person,
      input: { readonly channel: string; readonly plan: string; readonly reason: string },
    ): Promise<RevocationStatus> {
      const action = 'channel.revoke-request';
      const { plan, shown } = await planFor(person, action, input.channel);
      const { id, tenant } = plan.channel;
      const at = clock.now();
      const facts = {
        state: 'revoked',
        reason: input.reason,
        plan: input.plan,
        siblings: plan.siblings.length,
        // Nothing of another tenant that its own record would not show to the same person.
        named: shown.named.map((sibling) => sibling.id),
      };
      const record = auditRecord(at, person, action, 'ok', { tenant, channel: id }, facts);
      const request = { channel: id, digest: input.plan, reason: 'revoked_by_admin', linkHash: undefined, at } as const;
      try {
        await store.revocations.begin(request, record);
      } catch (error) {
        const { code, detail = '' } = asBrokerError(error);
        if (code !== 'REVOCATION_PLAN_CHANGED') throw error;
        await authorize.refuse(person, action, code, { tenant, channel: id }, detail);
      }
      deps.wakeRevocations();
      return status(id, plan.channel);
    },

    async status(person: Person, input: { readonly channel: string }): Promise<RevocationStatus> {
      const channel = await authorize.channel(person, 'channel.revoke-status', input.channel);
      await authorize.looked(person, 'channel.revoke-status', { tenant: channel.tenant, channel: channel.id });
      return status(channel.id, channel);
    },
  };

  async function status(id: string, found: Channel): Promise<RevocationStatus> {
    const channel = (await store.channels.find(id)) ?? found;
    return { channel, revocation: await store.revocations.find(id) };
  }
}
