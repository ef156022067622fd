/** What the flows need from the system of record. Every method may throw STORE_UNAVAILABLE. */
import type { AuditRecord } from '../domain/audit-record.ts';
import type { Channel, ChannelState, Grant, StateReason } from '../domain/channel.ts';
import type { Consent, ConsentFailure } from '../domain/consent.ts';
import type { Publishing } from '../domain/oauth-client.ts';
import type { TenantState } from '../domain/shred.ts';
import type { RuleTerms } from '../domain/workload-rule.ts';
import type { AuditReader } from './audit.ts';
import type { AuditChains } from './audit-chain.ts';
import type { ClientIncidents } from './client-incidents.ts';
import type { OAuthClient } from './google.ts';
import type { Notifications } from './notifications.ts';
import type { ClaimLimits, Lease, QueuePart } from './refresh-queue.ts';
import type { Replicas } from './replicas.ts';
import type { Retention } from './retention.ts';
import type { Revocations } from './revocation.ts';
import type { SecurityEvents } from './security-events.ts';
import type { Shreds } from './shred.ts';
import type { Ciphertexts, TenantKeyRecords } from './tenant-keys.ts';
import type { WorkloadAccesses, WorkloadDenials } from './workload-rules.ts';

export interface NewTenant {
  readonly name: string;
  /** Principals (`user:SUBJECT`, `group:NAME`) who administer it. */
  readonly admins: readonly string[];
  readonly createdAt: Date;
}

export interface Tenant extends NewTenant {
  readonly state: TenantState;
}

export interface StoredOAuthClient extends OAuthClient {
  /** As an operator said it; refresh tokens of a client in testing end after seven days. */
  readonly publishing: Publishing;
  readonly createdAt: Date;
  /** Since when it is switched off; absent where it is in use. */
  readonly disabledAt?: Date | undefined;
}

/** Whether it binds new grants, its publishing status, or since when it is switched off. */
export type OAuthClientChange =
  | Pick<StoredOAuthClient, 'dpop'>
  | Pick<StoredOAuthClient, 'publishing'>
  | { readonly disabledAt: Date | undefined };

/** A received refresh token, encrypted and stored, whose checks are not finished. */
export interface ReceivedGrant {
  readonly consentId: string;
  readonly generation: number;
  readonly refreshTokenEncrypted: string;
  readonly refreshTokenHash: string;
  readonly refreshTokenPrefixHash?: string | undefined;
  /** When the refresh token ends by itself, where Google said so. */
  readonly refreshTokenExpiresAt?: Date | undefined;
  readonly dpopKeyVersion: number | undefined;
  readonly scopes: readonly string[];
  readonly receivedAt: Date;
}

/** A refresh token that came with a refresh. */
export interface RotatedGrant {
  readonly refreshTokenEncrypted: string;
  readonly refreshTokenHash: string;
  readonly refreshTokenPrefixHash?: string | undefined;
  readonly refreshTokenExpiresAt?: Date | undefined;
}

/** What became of a refresh; written by compare-and-set on generation and fence. */
export interface RefreshSuccess {
  readonly accessTokenCacheKey: string;
  readonly tokenExpiresAt: Date;
  readonly refreshedAt: Date;
  readonly refreshDueAt: Date;
  /** When the grant is to be proven next; undefined leaves that as it is. */
  readonly proofDueAt?: Date | undefined;
  /** Present only where the authorization server rotated the refresh token. */
  readonly rotated: RotatedGrant | undefined;
  /** Of the present refresh token, where it is not stored yet. */
  readonly refreshTokenPrefixHash?: string | undefined;
}

/** What became of a claimed refresh, with its record. */
export type SettledRefresh = { readonly claim: RefreshClaim; readonly record: AuditRecord } & (
  | { readonly success: RefreshSuccess; readonly failure?: never }
  | { readonly failure: RefreshFailure; readonly success?: never }
);

/**
 * `due_again`: written, and due sooner than the refresh has planned, because somebody has made it so since the claim.
 * `overtaken`: generation or fence have moved on; nothing was written or recorded.
 */
export type SettleOutcome = 'written' | 'due_again' | 'overtaken';

export interface RefreshFailure {
  readonly className: string;
  readonly retryAt: Date;
}

/** A refresh token that replaces another of the same grant. */
export interface StoredRotation extends RotatedGrant {
  readonly channel: string;
  readonly generation: number;
  readonly formerTokenHash: string;
  readonly receivedAt: Date;
}

/** A person as channels name them: by subject as the owner, by principals as admins, by the tenants that they administer. */
export interface AdministeredBy {
  readonly subject: string;
  readonly principals: readonly string[];
  readonly tenants: readonly string[];
}

/** The access token that came with the consent (or with the refresh that finished its checks). */
export type FirstToken = Omit<RefreshSuccess, 'rotated' | 'refreshTokenPrefixHash'>;

export interface RefreshClaim {
  readonly channel: Channel;
  readonly grant: Grant;
  /** Rises with each claim; a write with an older fence is refused. */
  readonly fence: number;
  /** It lapses then: another broker may have claimed the channel. */
  readonly until: Date;
  /** When a workload last used it, as far as the database knows. */
  readonly lastUsedAt: Date | undefined;
  /** When its grant is to be proven; undefined for now. */
  readonly proofDueAt: Date | undefined;
}

/**
 * All methods that change state take the audit record of the change and write both in one transaction. Where a
 * compare-and-set fails they change nothing and throw STORE_CONFLICT.
 */
export interface Store {
  readonly tenants: {
    /** Throws ALREADY_EXISTS. */
    create(tenant: NewTenant, record: AuditRecord): Promise<void>;
    find(name: string): Promise<Tenant | undefined>;
    list(): Promise<readonly Tenant[]>;
  };
  readonly oauthClients: {
    /** Throws ALREADY_EXISTS. */
    create(client: StoredOAuthClient, record: AuditRecord): Promise<void>;
    /** Changes what is named and nothing else, so that of two who change different things neither undoes the other's. */
    change(name: string, change: OAuthClientChange, record: AuditRecord): Promise<void>;
    find(name: string): Promise<StoredOAuthClient | undefined>;
    list(): Promise<readonly StoredOAuthClient[]>;
    /** How many channels use each OAuth client; those without one are left out. */
    channelCounts(): Promise<ReadonlyMap<string, number>>;
  };
  readonly clientIncidents: ClientIncidents;
  readonly channels: {
    /** Throws ALREADY_EXISTS where the tenant has a channel of that name. */
    create(channel: Channel, record: AuditRecord): Promise<void>;
    find(id: string): Promise<Channel | undefined>;
    /** In the order of tenant and name; of those that a person administers, where one is named. */
    list(filter: {
      readonly tenant?: string;
      readonly state?: ChannelState;
      readonly administeredBy?: AdministeredBy;
    }): Promise<readonly Channel[]>;
    /** What decides about releases, for many at once; those that are not there are left out. */
    standings(ids: readonly string[]): Promise<readonly ChannelStanding[]>;
    /**
     * Changes the state where it is still `from` and the generation is still `generation`. By whoever has claimed the
     * channel: where the fence is still that of the claim, which ends with it.
     */
    changeState(
      change: {
        readonly id: string;
        readonly from: ChannelState;
        readonly to: ChannelState;
        readonly reason: StateReason;
        readonly generation: number | undefined;
        readonly fence?: number | undefined;
        readonly at: Date;
      },
      record: AuditRecord,
    ): Promise<void>;
    /** Stops an active channel: a refresh that is under way writes nothing any more. STORE_CONFLICT where it is not active. */
    suspend(change: { readonly id: string; readonly at: Date }, record: AuditRecord): Promise<void>;
    /** Makes a suspended channel active, and due at once. STORE_CONFLICT where it is not suspended. */
    resume(change: { readonly id: string; readonly at: Date }, record: AuditRecord): Promise<void>;
    /**
     * Claims one channel for a refresh. Undefined where another claim still holds or the channel has no active grant.
     */
    claim(id: string, lease: Lease): Promise<RefreshClaim | undefined>;
    /**
     * Claims channels that are due (`FOR UPDATE SKIP LOCKED`), the longest due first. Fewer than there are where another
     * broker claims the same ones at this very moment.
     */
    claimDue(part: QueuePart, lease: Lease, limits: ClaimLimits): Promise<readonly RefreshClaim[]>;
    /** Ends a claim of which nothing was begun; does nothing where it is no longer held. The channel stays due. */
    giveBack(claim: RefreshClaim): Promise<void>;
    /** When the next channel is due, or the claim of a due one lapses; undefined where there is none. */
    nextDue(part: QueuePart): Promise<Date | undefined>;
    /**
     * Has the grant that was claimed refreshed at `at`, if not before, and proven by the first refresh from then on. Does
     * nothing where another grant is there.
     */
    proveFrom(claim: RefreshClaim, at: Date): Promise<void>;
    /**
     * Claims channels that ended with their Google account, hold their grant still, and are to be asked about now; each once
     * more at `againAt`, unless it is let sleep or changes its state before.
     */
    claimToWake(lease: Lease, againAt: Date, limit: number): Promise<readonly RefreshClaim[]>;
    /** Asks about a claimed one no more; does nothing where it is no longer held. */
    letSleep(claim: RefreshClaim): Promise<void>;
    /** Grants of one Google account and OAuth client that are taken for alive, and how many are older than that instant. */
    grantsOfAccount(
      account: Pick<Grant, 'googleSubject'> & { readonly oauthClient: string },
      consentedAt: Date,
    ): Promise<{ readonly live: number; readonly older: number }>;
    /** Writes a refresh and ends the claim. */
    refreshed(claim: RefreshClaim, success: RefreshSuccess, record: AuditRecord): Promise<void>;
    /**
     * Puts a rotated refresh token in the place of the one that it replaces (same generation, same hash), without a
     * claim: for one that could not be written with its refresh. Safe to repeat; STORE_CONFLICT where another is there.
     * Of a channel that was revoked meanwhile, it is the new one that Google has to take back: that begins anew.
     */
    rotateToken(rotated: StoredRotation, record: AuditRecord): Promise<void>;
    /** Counts a failure, sets the next due time and ends the claim; changes no state. */
    refreshFailed(claim: RefreshClaim, failure: RefreshFailure, record: AuditRecord): Promise<void>;
    /**
     * `refreshed` and `refreshFailed` for many, in one transaction; answers for each, in their order. Where it throws,
     * nothing was written, or the answer was lost: it may be repeated.
     */
    settleAll(settled: readonly SettledRefresh[]): Promise<readonly SettleOutcome[]>;
    /**
     * Notes when channels were last used, where that is at least `coarsenessMs` later than what is noted; passes over
     * rows that somebody has locked. Answers the ids that need not be told again.
     */
    noteUse(used: ReadonlyMap<string, Date>, coarsenessMs: number): Promise<readonly string[]>;
    /** Has the end of the refresh that runs told as a change; false where none runs. */
    awaitRefresh(id: string, now: Date): Promise<boolean>;
    /**
     * Mends what a clock that was ahead has left behind. Channels that were refreshed later than `aheadMs` from now, or
     * that are due later than any plan says, are made due, spread over `spreadMs`; answers how many. Claims and due times
     * of everything else, if no clock that is right could have set them, are let go.
     */
    replan(now: Date, terms: { readonly aheadMs: number; readonly spreadMs: number }): Promise<number>;
  };
  readonly consents: {
    create(consent: Consent, record: AuditRecord): Promise<void>;
    findByLink(linkHash: string): Promise<Consent | undefined>;
    findByState(stateHash: string): Promise<Consent | undefined>;
    /** The channel's consent that was made last. */
    newest(channel: string): Promise<Consent | undefined>;
    /** Stores a new authorization request on a pending consent; an earlier one is void from then on. */
    begin(consentId: string, request: NonNullable<Consent['request']>, record: AuditRecord): Promise<void>;
    /** Takes the state, once: true for the one call that took it. The verifier is deleted from the row. */
    takeState(stateHash: string, browserHash: string, now: Date): Promise<boolean>;
    /**
     * Stores a received refresh token (encrypted) before anything else may fail. May be repeated when the answer was
     * lost. STORE_CONFLICT where the consent holds another one or is completed.
     */
    receive(received: ReceivedGrant, record: AuditRecord): Promise<void>;
    /** Received grants whose checks did not finish by `before`: to be finished by the scheduler. */
    unfinished(
      before: Date,
      limit: number,
    ): Promise<readonly { readonly consent: Consent; readonly received: ReceivedGrant }[]>;
    /**
     * Makes the received grant the channel's grant and the channel active. The generation must be the channel's
     * plus one, and pinned ids must be those already pinned, else STORE_CONFLICT.
     */
    activate(
      received: ReceivedGrant,
      pinned: Pick<Grant, 'googleSubject' | 'youtubeChannelId' | 'youtubeTitle'>,
      at: Date,
      token: FirstToken,
      record: AuditRecord,
    ): Promise<void>;
    /** Ends the consent as completed without a new refresh token: the stored one stays. */
    completeWithoutToken(consentId: string, at: Date, record: AuditRecord): Promise<void>;
    /**
     * Records how a request failed that brought no refresh token: the consent stays pending, the channel is untouched.
     * STORE_CONFLICT where it is not pending: a slow request must not undo what a newer one received.
     */
    fail(consentId: string, failure: ConsentFailure, at: Date, record: AuditRecord): Promise<void>;
    /**
     * Deletes a received grant that did not pass the checks and records why: the consent is pending again, the channel
     * is untouched.
     */
    reject(received: ReceivedGrant, failure: ConsentFailure, at: Date, record: AuditRecord): Promise<void>;
  };
  readonly workloadAccess: WorkloadAccesses;
  readonly workloadDenials: WorkloadDenials;
  /** What decides about reading a token, for each that is asked about, in their order; undefined where there is no such channel. */
  findReadable(
    asks: readonly { readonly spiffeId: string; readonly channel: string }[],
  ): Promise<readonly (ReadableChannel | undefined)[]>;
  readonly changes: Changes;
  readonly replicas: Replicas;
  readonly notifications: Notifications;
  readonly retention: Retention;
  readonly tenantKeys: TenantKeyRecords;
  readonly ciphertexts: Ciphertexts;
  readonly shreds: Shreds;
  readonly revocations: Revocations;
  readonly securityEvents: SecurityEvents;
  readonly audit: AuditLog;
  readonly auditChains: AuditChains;
  readonly auditReader: AuditReader;
  /** Throws STORE_UNAVAILABLE where the database does not answer. */
  check(): Promise<void>;
}

/** The part of a channel that decides whether its tokens are released. */
export interface ChannelStanding extends Pick<Channel, 'id' | 'tenant' | 'state'> {
  /** 0 before the first grant. */
  readonly generation: number;
  /** Undefined where there is no grant. */
  readonly grantedScopes: readonly string[] | undefined;
}

/** A channel as a reader of its token needs it. */
export interface ReadableChannel extends Pick<Channel, 'tenant' | 'state'> {
  /** Those that name the workload that is asked for; also those that have ended. */
  readonly rules: readonly RuleTerms[];
  readonly grant: ReadableGrant | undefined;
}

export interface ReadableGrant
  extends Pick<Grant, 'generation' | 'scopes' | 'youtubeChannelId' | 'accessTokenCacheKey' | 'tokenExpiresAt'> {
  /** When the newest access token was received. */
  readonly refreshedAt: Date;
}

/** A change of a channel's state, generation or accesses, whoever made it and however. */
export interface ChannelChange {
  readonly channel: string;
  readonly tenant: string | undefined;
  /** Absent where only an access changed, or the channel is new under this id. */
  readonly former?: { readonly state: ChannelState; readonly generation: number } | undefined;
  /** As the change left it; absent where only an access changed, or the channel was deleted. */
  readonly present?: { readonly state: ChannelState; readonly generation: number } | undefined;
}

/** Is told of changes; must not throw. */
export interface ChangeListener {
  /** Each committed change once, in no certain order between transactions. */
  changed(changes: readonly ChannelChange[]): void;
  /** Who is shut out of everything has changed. */
  denialsChanged(): void;
  /** Anything may have changed, also who is shut out: the connection was new, or too much has happened at once. */
  lookAgain(): void;
  /** The database is listened to; told at every connection, after what was missed. */
  hears(): void;
  /** Nothing is heard from here on; it is tried again by itself. */
  deaf(error: Error): void;
}

export interface Changes {
  /**
   * Hears of every change until stopped, on a connection of its own that is made again whenever it breaks.
   *
   * @param randomFraction from 0 to 1; spreads the reconnections of many brokers
   */
  follow(listener: ChangeListener, randomFraction: () => number): { stop(): Promise<void> };
  /** Deletes at most `limit` entries older than that, by the database's clock; answers how many. */
  prune(olderThanMs: number, limit: number): Promise<number>;
}

/** A record in the form in which it is kept and hashed. */
export interface PreparedRecord {
  readonly record: AuditRecord;
  /** Hash of the record's own content; tells whether it is written. */
  readonly leaf: Buffer;
}

/** The append-only record. */
export interface AuditLog {
  /** Throws AUDIT_UNAVAILABLE: then the act must be refused. */
  append(record: AuditRecord): Promise<void>;
  /** Does ahead, without the database, what can be done ahead. */
  prepare(record: AuditRecord): PreparedRecord;
  /**
   * Writes records in one transaction, in their order; those that are written already, as after a commit whose answer was
   * lost, are not written again. Throws STORE_UNAVAILABLE, or INTERNAL where one of them cannot be kept at all.
   *
   * @param options.firstTime nobody has tried to write any of them before: so none is looked for
   */
  appendAll(records: readonly PreparedRecord[], options?: { readonly firstTime?: boolean }): Promise<void>;
  /** Newest first. */
  list(filter: {
    readonly tenant?: string;
    readonly channel?: string;
    readonly limit: number;
  }): Promise<readonly AuditRecord[]>;
}
