/** What the flows need to deliver notifications. Every method of the store may throw STORE_UNAVAILABLE. */
import type { AuditRecord } from '../domain/audit-record.ts';
import type { ExpiringKind } from '../domain/expiring.ts';
import type { NotificationFacts, NotificationState, NotificationType } from '../domain/notification.ts';
import type { Secret } from '../domain/secret.ts';

/** A notification as it is stored: what is told, and how far its delivery is. */
export interface StoredNotification {
  readonly id: string;
  readonly type: NotificationType;
  readonly at: Date;
  readonly tenant: string | undefined;
  readonly channel: string | undefined;
  readonly generation: number | undefined;
  readonly oauthClient: string | undefined;
  readonly facts: NotificationFacts;
  readonly state: NotificationState;
  /** Tries since it was written or sent again. */
  readonly attempts: number;
  /** Of the next try, while it waits. */
  readonly dueAt: Date;
  readonly firstAttemptAt: Date | undefined;
  readonly lastAttemptAt: Date | undefined;
  /** Why the last try failed, as a code. */
  readonly lastProblem: string | undefined;
  readonly endedAt: Date | undefined;
}

/** One try at delivery; nobody else tries until `claimedUntil`. */
export interface DeliveryClaim {
  /** As the claim left it: this try is counted. */
  readonly notification: StoredNotification;
  readonly claimedUntil: Date;
}

export interface NotificationFilter {
  /** These tenants and nothing else; all, and what belongs to no tenant, where absent. */
  readonly tenants?: readonly string[] | undefined;
  readonly channel?: string | undefined;
  readonly state?: NotificationState | undefined;
  readonly limit: number;
}

/** A live grant that will end by itself. */
export interface ExpiringGrant {
  readonly kind: ExpiringKind;
  readonly tenant: string;
  readonly channel: string;
  readonly generation: number;
  readonly oauthClient: string;
  /** When it ends at Google; undefined where only Google knows. */
  readonly expiresAt: Date | undefined;
  /** Live grants of the same Google identity with the same OAuth client; for `token_limit`. */
  readonly grants: number | undefined;
}

/** Which grants are close to their end. */
export interface ExpiringTerms {
  readonly now: Date;
  /** Google said that they end before this. */
  readonly timedUntil: Date;
  /** Consented before this, in testing, and after `testingDead`. */
  readonly testingSince: Date;
  readonly testingDead: Date;
  readonly testingLifeMs: number;
  /** Not used since. */
  readonly idleSince: Date;
  readonly idleLifeMs: number;
  readonly mostGrants: number;
}

/** Notifications as they are stored. The methods that end a claim answer whether it still held. */
export interface Notifications {
  find(id: string): Promise<StoredNotification | undefined>;
  /** The newest first. */
  list(filter: NotificationFilter): Promise<readonly StoredNotification[]>;
  /** Those whose try is due and that nobody has claimed, the longest due first. */
  due(now: Date, limit: number): Promise<readonly string[]>;
  /**
   * Claims one for a try and counts it. Undefined where it is not due or claimed, and then its delivery is woken when it
   * is. Where the broker dies, others are woken at the end of the claim.
   */
  claim(id: string, now: Date, until: Date): Promise<DeliveryClaim | undefined>;
  delivered(claim: DeliveryClaim, at: Date): Promise<boolean>;
  /** Ends one that is true no more. */
  superseded(claim: DeliveryClaim, at: Date): Promise<boolean>;
  /** Sets the next try. `counted` is false where the receiver was not asked at all. */
  postponed(
    claim: DeliveryClaim,
    next: { readonly at: Date; readonly dueAt: Date; readonly problem: string; readonly counted: boolean },
  ): Promise<boolean>;
  /** Ends one that the receiver never took. STORE_CONFLICT where the claim holds no more. */
  died(claim: DeliveryClaim, at: Date, problem: string, record: AuditRecord): Promise<void>;
  /** Has one delivered (again), by its id, whatever it has become; STORE_CONFLICT where it is being delivered. */
  resend(id: string, at: Date, record: AuditRecord): Promise<void>;
  /** Wakes those again that have been due since before and that nobody has woken; answers how many. */
  wakeOverdue(before: Date, limit: number): Promise<number>;
  /** Grants that are close to their end and of whom that was not told. */
  expiring(terms: ExpiringTerms, limit: number): Promise<readonly ExpiringGrant[]>;
  /** Tells that a grant is close to its end. STORE_CONFLICT where it was told. */
  tellExpiring(grant: ExpiringGrant, at: Date, record: AuditRecord): Promise<void>;
  /**
   * Calls `deliver` for each that is woken, at most so many at the same time, until stopped; then the running ones are
   * waited for. A call that throws is made again later.
   */
  work(
    deliver: (id: string) => Promise<void>,
    options: { readonly concurrency: number; readonly onFault: (error: unknown) => void },
  ): { stop(): Promise<void> };
}

/** What is sent: bytes that are signed, under an id that stays the same. */
export interface OutgoingNotification {
  readonly id: string;
  /** The body (a CloudEvent as JSON). A secret, because a consent link may be in it. */
  readonly body: Secret<string>;
  readonly at: Date;
  /** The newest first; the body is signed with each. */
  readonly secrets: readonly Secret<string>[];
}

/** Why a receiver did not take a notification; `status` where it answered. */
export interface DeliveryProblem {
  readonly problem:
    | 'status'
    | 'redirect'
    | 'gone'
    | 'address_refused'
    | 'name_not_found'
    | 'timed_out'
    | 'tls'
    | 'unreachable';
  readonly status?: number | undefined;
  /** Seconds. */
  readonly retryAfter?: number | undefined;
}

/** The notification service. */
export interface NotificationReceiver {
  /** Sends once; undefined where the receiver has it (2xx). Never throws, and never takes longer than its deadline. */
  send(outgoing: OutgoingNotification): Promise<DeliveryProblem | undefined>;
}

/** The secrets that notifications are signed with. Every method may throw what the port of Vault throws. */
export interface SigningSecrets {
  /** The newest first, then the former one while both are good. Throws SIGNING_SECRET_MISSING. */
  current(): Promise<readonly Secret<string>[]>;
  /** Puts a new one in front; answers until when the former one is used besides, undefined where there was none. */
  replace(secret: Secret<string>): Promise<Date | undefined>;
}
