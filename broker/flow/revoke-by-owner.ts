/**
 * The owner's way to disconnect a channel: a link for one use, which an admin makes and sends, as for a consent. Owners
 * have no login here; whoever has the link can do no more with it than end the connection of this one channel.
 */
import { auditRecord } from '../domain/audit-record.ts';
import type { Owner, Person } from '../domain/caller.ts';
import type { Channel } from '../domain/channel.ts';
import { hashSecret, newSecret, type RandomBytes } from '../domain/identifier.ts';
import type { Secret } from '../domain/secret.ts';
import { BrokerError } from '../errors.ts';
import type { Clock, Store } from '../ports.ts';
import type { Authorize } from './authorize.ts';
import type { ConsentLink } from './invite-consent.ts';
import type { RecordRefusals } from './record-refusals.ts';
import { planRevocation } from './revocation-plan.ts';

/** What the owner is shown before anything happens. */
export interface RevocationView {
  readonly tenant: string;
  readonly channelName: string;
  readonly youtubeTitle: string | undefined;
  /** Other channels of the same Google identity that end with it: with this tenant, and with others. */
  readonly siblings: { readonly here: number; readonly elsewhere: number };
  /** To be given back by whoever agrees to this. */
  readonly plan: string;
}

export function createRevokeByOwner(deps: {
  readonly authorize: Authorize;
  readonly refusals: RecordRefusals;
  readonly store: Store;
  readonly clock: Clock;
  readonly random: RandomBytes;
  /** How long a link can be used, in milliseconds. */
  readonly linkTtlMs: number;
  /** Has Google told now. */
  readonly wakeRevocations: () => void;
}) {
  const { authorize, refusals, store, clock, random } = deps;

  return {
    /** Makes a link; one that was made earlier for the channel is void from then on. */
    async invite(person: Person, input: { readonly channel: string }): Promise<ConsentLink> {
      const channel = await authorize.channel(person, 'channel.revoke-link', input.channel);
      if (channel.state === 'revoked') throw new BrokerError('CHANNEL_REVOKED', { detail: `channel ${channel.id}` });
      const now = clock.now();
      const token = newSecret(random);
      const target = { tenant: channel.tenant, channel: channel.id };
      const link = {
        ...target,
        linkHash: hashSecret(token),
        createdBy: person.subject,
        createdAt: now,
        expiresAt: new Date(now.getTime() + deps.linkTtlMs),
      };
      const facts = { expiresAt: link.expiresAt.toISOString() };
      await store.revocations.putLink(link, auditRecord(now, person, 'channel.revoke-link', 'ok', target, facts));
      return { token, expiresAt: link.expiresAt };
    },

    /** Shows what the link ends. Changes nothing: mail scanners open links, too. */
    async view(owner: Owner, input: { readonly link: Secret<string> }): Promise<RevocationView> {
      const channel = await open(owner, input.link);
      const { siblings, digest } = await planRevocation(store, channel);
      const here = siblings.filter(({ tenant }) => tenant === channel.tenant).length;
      return {
        tenant: channel.tenant,
        channelName: channel.name,
        youtubeTitle: channel.grant?.youtubeTitle,
        siblings: { here, elsewhere: siblings.length - here },
        plan: digest,
      };
    },

    /** Throws REVOCATION_PLAN_CHANGED where `plan` is not what would end now; the link can then be opened again. */
    async revoke(
      owner: Owner,
      input: { readonly link: Secret<string>; readonly plan: string },
    ): Promise<{ readonly tenant: string }> {
      const { id, tenant, grant } = await open(owner, input.link);
      const at = clock.now();
      const facts = { state: 'revoked', plan: input.plan, generation: grant?.generation ?? 0 };
      const target = { tenant, channel: id };
      const record = auditRecord(at, owner, 'channel.revoke-request', 'ok', target, facts);
      const linkHash = hashSecret(input.link);
      const request = { channel: id, digest: input.plan, reason: 'revoked_by_owner', linkHash, at } as const;
      await store.revocations.begin(request, record);
      deps.wakeRevocations();
      return { tenant };
    },
  };

  /** Finds the channel behind a link; throws INVALID_REVOKE_LINK, on record. */
  async function open(owner: Owner, token: Secret<string>): Promise<Channel> {
    const link = await store.revocations.findLink(hashSecret(token));
    const channel = link && (await store.channels.find(link.channel));
    if (link && channel && link.expiresAt > clock.now() && channel.state !== 'revoked') return channel;
    const detail = link ? `link has expired, or the channel is ${channel?.state ?? 'gone'}` : 'unknown or used link';
    const target = { tenant: link?.tenant, channel: link?.channel };
    const code = 'INVALID_REVOKE_LINK';
    await refusals.record(auditRecord(clock.now(), owner, 'channel.revoke-open', code, target, { detail }));
    throw new BrokerError(code, { detail });
  }
}
