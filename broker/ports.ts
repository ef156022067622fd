/**
 * What the flows need from the world. Adapters implement these; `broker.ts` wires them.
 *
 * Every method may throw `BrokerError`: VAULT_SEALED, VAULT_UNAVAILABLE or VAULT_FORBIDDEN from Vault's ports,
 * STORE_UNAVAILABLE from the store's, AUTHORIZATION_SERVER_UNAVAILABLE from Google's. Others are named at the method.
 */
import type { AuditRecord } from './domain/audit-record.ts';
import type { Channel, ChannelState, Grant, StateReason } from './domain/channel.ts';
import type { Consent, ConsentFailure } from './domain/consent.ts';
import type { Secret } from './domain/secret.ts';
import type { TokenEndpointFailure } from './domain/token-endpoint-failure.ts';

export interface Clock {
  now(): Date;
}

// ── Vault ────────────────────────────────────────────────────────────────────────────────────────────────────────

/** Binds a ciphertext to its place: it decrypts only with the same tenant, channel and generation. */
export interface EncryptionContext {
  readonly tenant: string;
  readonly channel: string;
  readonly generation: number;
}

/** The tenants' transit keys (`transit/keys/tenant-NAME`, derived, not exportable). */
export interface TenantKeys {
  /** Creates the tenant's key; does nothing where it is. */
  create(tenant: string): Promise<void>;
  /** Answers Vault's ciphertext `vault:vN:…`. */
  encrypt(context: EncryptionContext, plaintext: Secret<string>): Promise<string>;
  decrypt(context: EncryptionContext, ciphertext: string): Promise<Secret<string>>;
  /** A fresh 256-bit data key of the tenant, in clear and wrapped (`transit/datakey/plaintext`). */
  createDataKey(tenant: string): Promise<DataKey>;
  unwrapDataKey(tenant: string, wrapped: string): Promise<Secret<Buffer>>;
}

export interface DataKey {
  readonly key: Secret<Buffer>;
  readonly wrapped: string;
}

/** Signs DPoP proofs (RFC 9449) with a P-256 key that never leaves transit; one key per OAuth client. */
export interface DpopKeys {
  /** Creates the client's key; does nothing where it is. */
  create(oauthClient: string): Promise<void>;
  /** The newest version and its public key as a JWK. */
  current(oauthClient: string): Promise<{ readonly version: number; readonly jwk: DpopJwk }>;
  publicKey(oauthClient: string, version: number): Promise<DpopJwk>;
  /** Raw R‖S in base64url over the JWS signing input (`marshaling_algorithm=jws`). */
  sign(oauthClient: string, version: number, signingInput: string): Promise<string>;
}

export interface DpopJwk {
  readonly kty: 'EC';
  readonly crv: 'P-256';
  readonly x: string;
  readonly y: string;
}

/** The OAuth clients' secrets in KV v2 (`oauth-clients/data/NAME`), newest first; the next is tried where Google refuses one. */
export interface OAuthClientSecrets {
  /** Throws OAUTH_CLIENT_NOT_FOUND. */
  read(oauthClient: string): Promise<readonly Secret<string>[]>;
  /** Throws ALREADY_EXISTS where one is stored (KV v2 check-and-set 0). */
  create(oauthClient: string, secret: Secret<string>): Promise<void>;
}

/** Vault's PKI: signs the broker's own certificate, and says whom to trust. */
export interface CertificateAuthority {
  /** Throws VAULT_FORBIDDEN where the role does not allow the SPIFFE ID. */
  signCertificate(request: {
    /** The PKI role, for example `broker`. */
    readonly role: string;
    /** PKCS #10; the private key stays with its maker. */
    readonly csrPem: string;
    /** The one SPIFFE ID. Names in the CSR are ignored by our roles. */
    readonly uriSan: string;
  }): Promise<{
    readonly certificatePem: string;
    /** Intermediates, nearest first, without the root. */
    readonly chainPem: readonly string[];
  }>;
  /** All issuers of the mount as PEM, so that peers signed before a change of the root stay trusted. */
  trustBundle(): Promise<readonly string[]>;
}

// ── Google ───────────────────────────────────────────────────────────────────────────────────────────────────────

export interface OAuthClient {
  /** Ours; names the KV entry and the DPoP key. */
  readonly name: string;
  /** Google's `client_id`; public. */
  readonly clientId: string;
  /** Whether grants are bound by DPoP. */
  readonly dpop: boolean;
}

export interface AuthorizationRequest {
  readonly client: OAuthClient;
  readonly scopes: readonly string[];
  readonly state: Secret<string>;
  readonly nonce: string;
  /** RFC 7636; the S256 challenge is computed from it. */
  readonly codeVerifier: Secret<string>;
  readonly loginHint: string | undefined;
}

/** A successful answer of the token endpoint (RFC 6749 §5.1). */
export interface TokenResponse {
  readonly accessToken: Secret<string>;
  readonly expiresAt: Date;
  /** Absent where Google sent none, or an empty one. */
  readonly refreshToken: Secret<string> | undefined;
  /** When the refresh token ends by itself (time-based access); undefined otherwise. */
  readonly refreshTokenExpiresAt: Date | undefined;
  /** Undefined where the answer names none (then those asked for are granted, RFC 6749 §5.1). */
  readonly scopes: readonly string[] | undefined;
  readonly idToken: Secret<string> | undefined;
  /** The DPoP key version that the refresh token is bound to. */
  readonly dpopKeyVersion: number | undefined;
}

export type TokenOutcome =
  | { readonly ok: true; readonly tokens: TokenResponse }
  | { readonly ok: false; readonly failure: TokenEndpointFailure };

export interface AuthorizationServer {
  /** The exact redirect URI that all consents use. */
  readonly redirectUri: string;
  readonly issuer: string;
  authorizationUrl(request: AuthorizationRequest): string;
  /** The authorization-code grant. Failures are answered, not thrown. */
  exchangeCode(client: OAuthClient, code: Secret<string>, codeVerifier: Secret<string>): Promise<TokenOutcome>;
  /** The refresh grant. Failures are answered, not thrown. */
  refresh(client: OAuthClient, refreshToken: Secret<string>, dpopKeyVersion: number | undefined): Promise<TokenOutcome>;
  /** Checks an ID token (signature, issuer, audience, nonce, time); throws INVALID_AUTHORIZATION_RESPONSE. */
  verifyIdToken(client: OAuthClient, idToken: Secret<string>, nonce: string | undefined): Promise<IdTokenClaims>;
}

export interface IdTokenClaims {
  readonly subject: string;
  readonly email: string | undefined;
}

export interface YouTubeChannel {
  readonly id: string;
  readonly title: string;
}

/** `channels.list?mine=true`: one quota unit. */
export interface YouTube {
  /** All channels of the identity that the token belongs to; empty where it has none. */
  channelsOf(accessToken: Secret<string>): Promise<readonly YouTubeChannel[]>;
}

// ── Store ────────────────────────────────────────────────────────────────────────────────────────────────────────

export interface Tenant {
  readonly name: string;
  /** Principals (`user:SUBJECT`, `group:NAME`) who administer it. */
  readonly admins: readonly string[];
  readonly createdAt: Date;
}

export interface StoredOAuthClient extends OAuthClient {
  readonly createdAt: Date;
}

/** Lets a workload read a channel. */
export interface WorkloadAccess {
  readonly spiffeId: string;
  readonly channel: string;
  readonly tenant: string;
  readonly reason: string;
  readonly createdBy: string;
  readonly createdAt: Date;
}

/** A received refresh token, encrypted and stored, whose checks are not finished. */
export interface ReceivedGrant {
  readonly consentId: string;
  readonly generation: number;
  readonly refreshTokenEncrypted: string;
  readonly refreshTokenHash: string;
  readonly dpopKeyVersion: number | undefined;
  readonly scopes: readonly string[];
  readonly receivedAt: Date;
}

/** What became of a refresh; written by compare-and-set on generation and fence. */
export interface RefreshSuccess {
  readonly accessTokenCacheKey: string;
  readonly tokenExpiresAt: Date;
  readonly refreshedAt: Date;
  readonly refreshDueAt: Date;
  /** Present only where the authorization server rotated the refresh token. */
  readonly rotated: { readonly refreshTokenEncrypted: string; readonly refreshTokenHash: string } | undefined;
}

/** The access token that came with the consent (or with the refresh that finished its checks). */
export type FirstToken = Omit<RefreshSuccess, 'rotated'>;

export interface RefreshClaim {
  readonly channel: Channel;
  readonly grant: Grant;
  /** Rises with each claim; a write with an older fence is refused. */
  readonly fence: number;
}

/**
 * All methods that change state take the audit record of the change and write both in one transaction. Where a
 * compare-and-set fails they change nothing and throw STORE_CONFLICT.
 */
export interface Store {
  readonly tenants: {
    /** Throws ALREADY_EXISTS. */
    create(tenant: Tenant, record: AuditRecord): Promise<void>;
    find(name: string): Promise<Tenant | undefined>;
    list(): Promise<readonly Tenant[]>;
  };
  readonly oauthClients: {
    /** Throws ALREADY_EXISTS. */
    create(client: StoredOAuthClient, record: AuditRecord): Promise<void>;
    find(name: string): Promise<StoredOAuthClient | undefined>;
    list(): Promise<readonly StoredOAuthClient[]>;
  };
  readonly channels: {
    /** Throws ALREADY_EXISTS where the tenant has a channel of that name. */
    create(channel: Channel, record: AuditRecord): Promise<void>;
    find(id: string): Promise<Channel | undefined>;
    list(filter: { readonly tenant?: string; readonly state?: ChannelState }): Promise<readonly Channel[]>;
    /** Changes the state where it is still `from` and the generation is still `generation`. */
    changeState(
      change: {
        readonly id: string;
        readonly from: ChannelState;
        readonly to: ChannelState;
        readonly reason: StateReason;
        readonly generation: number | undefined;
        readonly at: Date;
      },
      record: AuditRecord,
    ): Promise<void>;
    /**
     * Claims one channel for a refresh until `until`. Undefined where another claim still holds or the channel has
     * no active grant.
     */
    claim(id: string, now: Date, until: Date): Promise<RefreshClaim | undefined>;
    /** Claims up to `limit` channels that are due (`FOR UPDATE SKIP LOCKED`), the longest due first. */
    claimDue(now: Date, until: Date, limit: number): Promise<readonly RefreshClaim[]>;
    /** When the next channel is due; undefined where none is. */
    nextDue(): Promise<Date | undefined>;
    /** Writes a refresh and ends the claim. */
    refreshed(claim: RefreshClaim, success: RefreshSuccess, record: AuditRecord): Promise<void>;
    /** Counts a failure, sets the next due time and ends the claim; changes no state. */
    refreshFailed(
      claim: RefreshClaim,
      failure: { readonly className: string; readonly retryAt: Date },
      record: AuditRecord,
    ): Promise<void>;
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
  readonly workloadAccess: {
    /** Adds or renews the access. */
    allow(access: WorkloadAccess, record: AuditRecord): Promise<void>;
    find(spiffeId: string, channel: string): Promise<WorkloadAccess | undefined>;
    listByChannel(channel: string): Promise<readonly WorkloadAccess[]>;
  };
  readonly audit: AuditLog;
  /** Throws STORE_UNAVAILABLE where the database does not answer. */
  check(): Promise<void>;
}

/** The append-only record. */
export interface AuditLog {
  /** Throws AUDIT_UNAVAILABLE: then the act must be refused. */
  append(record: AuditRecord): Promise<void>;
  /** Newest first. */
  list(filter: {
    readonly tenant?: string;
    readonly channel?: string;
    readonly limit: number;
  }): Promise<readonly AuditRecord[]>;
}

// ── Cache ────────────────────────────────────────────────────────────────────────────────────────────────────────

export interface CachedToken {
  readonly accessToken: Secret<string>;
  readonly expiresAt: Date;
}

/** Access tokens, encrypted under a data key of the tenant, with a TTL that never passes the token's own end. */
export interface AccessTokenCache {
  /** The key under which a channel's token of that generation is kept; names neither title nor owner. */
  keyOf(channel: string, generation: number): string;
  /** Undefined where there is none, or the cache does not answer: a cache is never a reason to fail. */
  get(tenant: string, key: string): Promise<CachedToken | undefined>;
  /** Best effort; answers whether it was stored. */
  put(tenant: string, key: string, token: CachedToken): Promise<boolean>;
  drop(key: string): Promise<void>;
  check(): Promise<void>;
}
