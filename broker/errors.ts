/**
 * Every way the broker can refuse, in one closed table: the stable code, what it is on each wire, whether trying
 * again can help, the sentence for people, and the next step. Adapters translate foreign errors into these at the
 * point of contact; nothing above them sees an axios, ioredis, pg or grpc error.
 *
 * `detail` and `cause` are for the operator's log and the audit record; the wire carries the code, the table's
 * sentence and the next step only.
 */

interface ErrorRow {
  /** HTTP status. */
  readonly http: number;
  /** Name of the gRPC status. */
  readonly grpc:
    | 'INVALID_ARGUMENT'
    | 'UNAUTHENTICATED'
    | 'PERMISSION_DENIED'
    | 'NOT_FOUND'
    | 'ALREADY_EXISTS'
    | 'FAILED_PRECONDITION'
    | 'ABORTED'
    | 'RESOURCE_EXHAUSTED'
    | 'UNAVAILABLE'
    | 'DEADLINE_EXCEEDED'
    | 'INTERNAL';
  /** Whether the same call can succeed later without anybody acting. */
  readonly retry: boolean;
  /** What is wrong. */
  readonly sentence: string;
  /** What to do next. */
  readonly next: string;
}

export const errorTable = {
  INVALID_REQUEST: {
    http: 400,
    grpc: 'INVALID_ARGUMENT',
    retry: false,
    sentence: 'The request is not valid.',
    next: 'Correct the fields named in the answer and send it again.',
  },
  UNAUTHENTICATED: {
    http: 401,
    grpc: 'UNAUTHENTICATED',
    retry: false,
    sentence: 'You are not signed in, or your identity has expired.',
    next: 'Get a new identity token (for example `vault read identity/oidc/token/token-broker-admin`) and try again.',
  },
  ACCESS_DENIED: {
    http: 403,
    grpc: 'PERMISSION_DENIED',
    retry: false,
    sentence: 'You may not do this.',
    next: 'Ask an admin of the tenant: `broker workload allow` lets a workload in, `broker whoami` shows a person who they are.',
  },
  NOT_FOUND: {
    http: 404,
    grpc: 'NOT_FOUND',
    retry: false,
    sentence: 'There is no such thing here.',
    next: 'Check the name or id.',
  },
  TENANT_NOT_FOUND: {
    http: 404,
    grpc: 'NOT_FOUND',
    retry: false,
    sentence: 'There is no such tenant.',
    next: 'Check the name, or create it with `broker tenant create NAME`.',
  },
  TENANT_SHREDDED: {
    http: 409,
    grpc: 'FAILED_PRECONDITION',
    retry: false,
    sentence: 'This tenant’s key is being destroyed, or has been; nothing of it comes back.',
    next: 'Take another name for a new tenant; `broker tenant shred-status NAME` shows what was done.',
  },
  SHRED_EXISTS: {
    http: 409,
    grpc: 'ALREADY_EXISTS',
    retry: false,
    sentence: 'A request to shred this tenant is there already.',
    next: 'Look at it with `broker tenant shred-status NAME`; `broker tenant shred-cancel NAME` withdraws it.',
  },
  SHRED_NOT_FOUND: {
    http: 404,
    grpc: 'NOT_FOUND',
    retry: false,
    sentence: 'There is no request to shred this tenant, or it has lapsed.',
    next: 'Request it with `broker tenant shred NAME`.',
  },
  SHRED_NOT_APPROVED: {
    http: 409,
    grpc: 'FAILED_PRECONDITION',
    retry: false,
    sentence: 'Shredding this tenant needs the approval of a second person.',
    next: 'Another operator or admin of the tenant approves it with `broker tenant shred-approve NAME`.',
  },
  SHRED_SELF_APPROVAL: {
    http: 403,
    grpc: 'PERMISSION_DENIED',
    retry: false,
    sentence: 'Whoever requested it cannot approve it.',
    next: 'Another operator or admin of the tenant approves it with `broker tenant shred-approve NAME`.',
  },
  CHANNEL_NOT_FOUND: {
    http: 404,
    grpc: 'NOT_FOUND',
    retry: false,
    sentence: 'There is no such channel, or you may not see it.',
    next: 'Check the id with `broker channel list`.',
  },
  OAUTH_CLIENT_NOT_FOUND: {
    http: 404,
    grpc: 'NOT_FOUND',
    retry: false,
    sentence: 'There is no such OAuth client.',
    next: 'Check the name, or add it with `broker oauth-client add`.',
  },
  NOTIFICATION_NOT_FOUND: {
    http: 404,
    grpc: 'NOT_FOUND',
    retry: false,
    sentence: 'There is no such notification, or you may not see it.',
    next: 'Check the id with `broker notification list`.',
  },
  NOTIFICATION_OUTDATED: {
    http: 409,
    grpc: 'FAILED_PRECONDITION',
    retry: false,
    sentence: 'What this notification tells of is true no more.',
    next: 'Nothing has to be sent; `broker channel show CHANNEL` shows how the channel is now.',
  },
  SIGNING_SECRET_MISSING: {
    http: 409,
    grpc: 'FAILED_PRECONDITION',
    retry: false,
    sentence: 'There is no secret to sign notifications with.',
    next: 'An operator sets it with `broker notification set-secret`.',
  },
  INCIDENT_NOT_FOUND: {
    http: 404,
    grpc: 'NOT_FOUND',
    retry: false,
    sentence: 'There is no open incident of that kind for this OAuth client.',
    next: 'Look with `broker oauth-client incident list`: it may be over already.',
  },
  ALREADY_EXISTS: {
    http: 409,
    grpc: 'ALREADY_EXISTS',
    retry: false,
    sentence: 'That name is taken.',
    next: 'Choose another name.',
  },
  KEY_VERSION_IN_USE: {
    http: 409,
    grpc: 'FAILED_PRECONDITION',
    retry: false,
    sentence: 'Stored ciphertexts still need an older version of the tenant’s key.',
    next: 'Wait until `broker tenant key-status NAME` says that it is safe.',
  },
  KEY_VERSION_RETIRED: {
    http: 409,
    grpc: 'ABORTED',
    retry: true,
    sentence: 'The version of the tenant’s key that this was encrypted with is retired.',
    next: 'Encrypt again; where that cannot be done, lower the minimum as docs/keys.md says.',
  },
  TENANT_KEY_UNUSABLE: {
    http: 409,
    grpc: 'FAILED_PRECONDITION',
    retry: false,
    sentence: 'The tenant’s key in Vault is missing or is not the kind of key that it must be.',
    next: 'An operator has to bring it back: docs/keys.md says how.',
  },
  SCOPE_NOT_GRANTED: {
    http: 403,
    grpc: 'PERMISSION_DENIED',
    retry: false,
    sentence: 'The channel owner or the access rule has not granted a scope that was asked for.',
    next: 'Ask for fewer scopes, or have the owner consent to them.',
  },
  TOKEN_TOO_WIDE: {
    http: 403,
    grpc: 'PERMISSION_DENIED',
    retry: false,
    sentence:
      'The access rule allows fewer scopes than the owner granted, and every token of the channel opens all of those.',
    next: 'An admin of the tenant allows the workload the other scopes, too, or agrees to the wider token: `broker workload allow … --accept-wider-token`.',
  },
  WORKLOAD_DENIED: {
    http: 403,
    grpc: 'PERMISSION_DENIED',
    retry: false,
    sentence: 'This workload, or this certificate of it, is shut out.',
    next: 'Ask the operators of the broker why; `broker workload undeny` lets it in again.',
  },
  CERTIFICATE_REVOKED: {
    http: 403,
    grpc: 'UNAUTHENTICATED',
    retry: false,
    sentence: 'The certificate of this workload has been revoked.',
    next: 'Ask the operators of Vault why. Where the workload may still log in there, its sidecar gets a new certificate when it is restarted.',
  },
  REVOCATIONS_UNKNOWN: {
    http: 503,
    grpc: 'UNAVAILABLE',
    retry: true,
    sentence: 'It is not known at the moment which workloads and certificates are shut out, so none is let in.',
    next: 'Try again in a while; the operators see in /readyz of the broker what is missing.',
  },
  CONSENT_PENDING: {
    http: 403,
    grpc: 'FAILED_PRECONDITION',
    retry: false,
    sentence: 'The channel owner has not consented yet.',
    next: 'Send the owner the consent link: `broker channel consent-link CHANNEL`.',
  },
  RECONSENT_REQUIRED: {
    http: 403,
    grpc: 'FAILED_PRECONDITION',
    retry: false,
    sentence: 'The channel owner’s consent has ended.',
    next: 'Send the owner a new consent link: `broker channel consent-link CHANNEL`.',
  },
  CHANNEL_SUSPENDED: {
    http: 403,
    grpc: 'FAILED_PRECONDITION',
    retry: false,
    sentence: 'The channel is suspended.',
    next: 'Ask an admin of the tenant to resume it.',
  },
  CHANNEL_BLOCKED: {
    http: 403,
    grpc: 'FAILED_PRECONDITION',
    retry: false,
    sentence: 'The Google Workspace administrator of the channel owner blocks this application.',
    next: 'The owner’s Workspace administrator has to allow the application; a new consent does not help.',
  },
  CHANNEL_REVOKED: {
    http: 403,
    grpc: 'FAILED_PRECONDITION',
    retry: false,
    sentence: 'The channel has been disconnected.',
    next: 'Add the channel again and have its owner consent; where its tenant was shredded, that takes another tenant.',
  },
  CHANNEL_STATE_UNFIT: {
    http: 409,
    grpc: 'FAILED_PRECONDITION',
    retry: false,
    sentence: 'The channel is in a state that does not allow this.',
    next: 'Look at its state with `broker channel show CHANNEL`.',
  },
  REVOCATION_PLAN_CHANGED: {
    http: 409,
    grpc: 'ABORTED',
    retry: false,
    sentence: 'What would end with the channel is no longer what was agreed to; nothing was changed.',
    next: 'Look at it again with `broker channel revoke CHANNEL --dry-run`, and agree to that.',
  },
  INVALID_REVOKE_LINK: {
    http: 400,
    grpc: 'INVALID_ARGUMENT',
    retry: false,
    sentence: 'This link to disconnect a channel is not valid, has expired, or has been used.',
    next: 'Ask the person who sent it for a new one: `broker channel revoke-link CHANNEL`.',
  },
  INVALID_CONSENT_LINK: {
    http: 400,
    grpc: 'INVALID_ARGUMENT',
    retry: false,
    sentence: 'This consent link is not valid, has expired, or has been used.',
    next: 'Ask the person who sent it for a new one.',
  },
  INVALID_AUTHORIZATION_RESPONSE: {
    http: 400,
    grpc: 'INVALID_ARGUMENT',
    retry: false,
    sentence: 'The answer from Google does not fit a consent that was started here.',
    next: 'Open the consent link again and start over.',
  },
  CONSENT_FAILED: {
    http: 422,
    grpc: 'FAILED_PRECONDITION',
    retry: false,
    sentence: 'The consent could not be completed.',
    next: 'Open the consent link again and follow what the page says.',
  },
  BROKER_INCIDENT: {
    http: 503,
    grpc: 'UNAVAILABLE',
    retry: true,
    sentence: 'Google refuses a request of the broker.',
    next: 'The operators of the broker have to look into it; nothing is wrong with the channel.',
  },
  OAUTH_CLIENT_REJECTED: {
    http: 503,
    grpc: 'UNAVAILABLE',
    retry: true,
    sentence: 'Google does not accept our OAuth client.',
    next: 'The operators of the broker have to mend the OAuth client; nothing is wrong with the channel.',
  },
  OAUTH_CLIENT_FROZEN: {
    http: 503,
    grpc: 'UNAVAILABLE',
    retry: true,
    sentence: 'Google calls many consents of our OAuth client dead at once; none of them is believed to be for now.',
    next: 'The operators of the broker have to look into it (`broker oauth-client incident list`); nothing is known to be wrong with the channel.',
  },
  OAUTH_CLIENT_DISABLED: {
    http: 503,
    grpc: 'UNAVAILABLE',
    retry: true,
    sentence: 'Our OAuth client is switched off.',
    next: 'An operator has to switch it on with `broker oauth-client enable NAME`; nothing is wrong with the channel.',
  },
  AUTHORIZATION_SERVER_UNAVAILABLE: {
    http: 503,
    grpc: 'UNAVAILABLE',
    retry: true,
    sentence: 'Google does not answer as it should at the moment.',
    next: 'Try again in a while; nothing was lost.',
  },
  IDENTITY_PROVIDER_UNAVAILABLE: {
    http: 503,
    grpc: 'UNAVAILABLE',
    retry: true,
    sentence: 'The identity provider does not answer, so nobody can be recognised.',
    next: 'Try again in a while.',
  },
  VAULT_SEALED: {
    http: 503,
    grpc: 'UNAVAILABLE',
    retry: true,
    sentence: 'The key store is sealed.',
    next: 'An operator has to unseal Vault; try again after that.',
  },
  VAULT_UNAVAILABLE: {
    http: 503,
    grpc: 'UNAVAILABLE',
    retry: true,
    sentence: 'The key store does not answer.',
    next: 'Try again in a while.',
  },
  VAULT_FORBIDDEN: {
    http: 503,
    grpc: 'UNAVAILABLE',
    retry: true,
    sentence: 'The key store refuses the broker.',
    next: 'An operator has to check the broker’s Vault policies: `broker vault bootstrap --dry-run` shows what is missing.',
  },
  STORE_UNAVAILABLE: {
    http: 503,
    grpc: 'UNAVAILABLE',
    retry: true,
    sentence: 'The database does not answer.',
    next: 'Try again in a while.',
  },
  STORE_CONFLICT: {
    http: 409,
    grpc: 'ABORTED',
    retry: true,
    sentence: 'Somebody else changed this at the same time.',
    next: 'Look at the present state and try again.',
  },
  AUDIT_UNAVAILABLE: {
    http: 503,
    grpc: 'UNAVAILABLE',
    retry: true,
    sentence: 'The act could not be written to the audit record and was therefore refused.',
    next: 'Try again in a while.',
  },
  AUDIT_CHAIN_BROKEN: {
    http: 500,
    grpc: 'INTERNAL',
    retry: false,
    sentence: 'The audit record is not what Vault holds signed of it.',
    next: 'Somebody changed the database or put an old one back: keep a copy of it, export the chain and verify it (docs/audit.md).',
  },
  REFRESH_IN_PROGRESS: {
    http: 503,
    grpc: 'UNAVAILABLE',
    retry: true,
    sentence: 'The token is being refreshed.',
    next: 'Try again in a few seconds.',
  },
  SECURITY_EVENT_REJECTED: {
    http: 400,
    grpc: 'INVALID_ARGUMENT',
    retry: false,
    sentence: 'This is not a security event that Google signed for one of our OAuth clients.',
    next: 'Check that the receiver is registered by the right Google project, and the settings BROKER_GOOGLE_…',
  },
  RATE_LIMITED: {
    http: 429,
    grpc: 'RESOURCE_EXHAUSTED',
    retry: true,
    sentence: 'Too many requests.',
    next: 'Slow down and try again after the time given.',
  },
  CONFIG_INVALID: {
    http: 500,
    grpc: 'INTERNAL',
    retry: false,
    sentence: 'The configuration is not valid.',
    next: 'Correct the settings named above; docs/configuration.md lists them all.',
  },
  INTERNAL: {
    http: 500,
    grpc: 'INTERNAL',
    retry: false,
    sentence: 'Something went wrong in the broker.',
    next: 'The operators find the cause in the log under the request id.',
  },
} as const satisfies Record<string, ErrorRow>;

/** A stable code of the table; part of the public API. */
export type ErrorCode = keyof typeof errorTable;

export interface ErrorOptions {
  /** For the log and the audit record only; never a secret. Lower case, no final period. */
  readonly detail?: string;
  readonly cause?: unknown;
  /** Seconds after which a retry makes sense. */
  readonly retryAfter?: number;
  /** What is wrong with which field of the request; shown to the caller. */
  readonly problems?: readonly string[];
}

/** An error of the closed table. */
export class BrokerError extends Error {
  override readonly name = 'BrokerError';
  readonly code: ErrorCode;
  readonly detail: string | undefined;
  readonly retryAfter: number | undefined;
  readonly problems: readonly string[];

  constructor(code: ErrorCode, options: ErrorOptions = {}) {
    super(options.detail ? `${code}: ${options.detail}` : code, { cause: options.cause });
    this.code = code;
    this.detail = options.detail;
    this.retryAfter = options.retryAfter;
    this.problems = options.problems ?? [];
  }

  get row(): ErrorRow {
    return errorTable[this.code];
  }
}

/** Turns anything thrown into a `BrokerError`; what is not one becomes INTERNAL with its cause kept. */
export function asBrokerError(error: unknown): BrokerError {
  return error instanceof BrokerError ? error : new BrokerError('INTERNAL', { cause: error });
}
