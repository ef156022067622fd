/** What the revocation of channels needs of the store. Methods that change state write the audit record in one transaction. */
import type { AuditRecord } from '../domain/audit-record.ts';
import type { Channel, StateReason } from '../domain/channel.ts';
import type { RevocationOutcome } from '../domain/revocation.ts';

/** A live channel that Google ends together with another: the same identity, and the same Google project. */
export interface RevocationSibling extends Pick<Channel, 'id' | 'tenant' | 'name' | 'state' | 'owner' | 'admins'> {
  readonly generation: number;
}

/** How far the revocation of a channel's grant at Google is. */
export interface ChannelRevocation {
  readonly channel: string;
  readonly generation: number;
  readonly requestedAt: Date;
  /** Undefined while it is not known what became of it. */
  readonly outcome: RevocationOutcome | undefined;
  readonly answeredAt: Date | undefined;
  /** How often Google was asked, or was about to be. */
  readonly attempts: number;
  readonly dueAt: Date;
}

/** One attempt, which nobody else makes until its claim ends. */
export interface RevocationClaim {
  /** As it is now: with the newest refresh token that was stored. */
  readonly channel: Channel;
  readonly generation: number;
  /** Counts this one. A report that names an older number is refused. */
  readonly attempt: number;
}

/** A one-time link by which an owner disconnects a channel. */
export interface RevokeLink {
  readonly channel: string;
  readonly tenant: string;
  readonly linkHash: string;
  readonly createdBy: string;
  readonly createdAt: Date;
  readonly expiresAt: Date;
}

export interface Revocations {
  siblings(channel: string): Promise<readonly RevocationSibling[]>;
  /**
   * Ends the channel and writes down what Google has to be told, where it has a grant. Throws REVOCATION_PLAN_CHANGED where
   * `digest` does not name what would end now, CHANNEL_REVOKED where it has ended, and INVALID_REVOKE_LINK where `linkHash` is
   * given and has been used or has lapsed.
   */
  begin(
    request: {
      readonly channel: string;
      readonly digest: string;
      readonly reason: Extract<StateReason, 'revoked_by_admin' | 'revoked_by_owner'>;
      readonly linkHash: string | undefined;
      readonly at: Date;
    },
    record: AuditRecord,
  ): Promise<void>;
  /** Undefined where there was nothing to revoke at Google, or nothing was revoked. */
  find(channel: string): Promise<ChannelRevocation | undefined>;
  /** Takes up to `limit` that are due, until `until`. */
  claim(now: Date, until: Date, limit: number): Promise<readonly RevocationClaim[]>;
  /** Whether Google would end a live grant with this one's that nobody has accepted to end: one that came since. */
  wouldEndOthers(channel: string): Promise<boolean>;
  /** Ends the claim; without `outcome` it is tried again at `dueAt`. Throws STORE_CONFLICT where the claim is not the newest. */
  tried(
    claim: RevocationClaim,
    tried: { readonly outcome: RevocationOutcome | undefined; readonly at: Date; readonly dueAt: Date },
    record: AuditRecord,
  ): Promise<void>;
  /** Makes siblings due for a refresh, where the time has come to prove them; answers how many channels became due. */
  proveSiblings(now: Date): Promise<number>;
  /** When there is something to do next. */
  nextDue(): Promise<Date | undefined>;
  /** Whether Google may have ended the channel's grant with that of a sibling that was revoked since. */
  reached(channel: string, since: Date): Promise<boolean>;
  /** An earlier link of the channel is void from then on. */
  putLink(link: RevokeLink, record: AuditRecord): Promise<void>;
  findLink(linkHash: string): Promise<RevokeLink | undefined>;
}
