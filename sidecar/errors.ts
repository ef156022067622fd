/**
 * What the sidecar answers when it has no token to give. Its own codes stand in one closed table; a refusal by the
 * broker keeps the broker's code and sentence. What is permanent is a 4xx and what passes is a 503, because Google's
 * client libraries retry on the status alone: a 503 four to six times, a 403 never.
 */

interface ErrorRow {
  /** HTTP status on every local interface. */
  readonly http: 400 | 401 | 403 | 404 | 405 | 413 | 429 | 500 | 503;
  /** What is wrong. */
  readonly sentence: string;
  /** What to do next. */
  readonly next: string;
}

export const errorTable = {
  STARTING: {
    http: 503,
    sentence: 'The sidecar has no identity yet.',
    next: 'Try again in a few seconds; /readyz on its operations port says what it waits for.',
  },
  IDENTITY_EXPIRED: {
    http: 503,
    sentence: 'The certificate of this sidecar has expired and Vault has not signed a new one.',
    next: 'The operators find the reason in the sidecar’s log and in /readyz; nothing is wrong with the channel.',
  },
  STOPPING: {
    http: 503,
    sentence: 'The sidecar is stopping.',
    next: 'Ask again when it has been started anew.',
  },
  BROKER_UNREACHABLE: {
    http: 503,
    sentence: 'The broker does not answer.',
    next: 'Try again in a while; the operators find the reason in the sidecar’s log.',
  },
  BROKER_NOT_TRUSTED: {
    http: 503,
    sentence: 'Whoever answers at the broker’s address has not the broker’s identity.',
    next: 'The operators have to compare SIDECAR_BROKER_ADDR and SIDECAR_BROKER_SPIFFE_ID with the broker.',
  },
  BROKER_FAILING: {
    http: 503,
    sentence: 'The broker gave an answer that the sidecar does not understand.',
    next: 'The operators have to compare the versions of broker and sidecar.',
  },
  BROKER_TOO_OLD: {
    http: 503,
    sentence: 'The broker does not tell sidecars of changes.',
    next: 'The operators have to bring the broker to the version of the sidecar; until then tokens are checked with it again and again.',
  },
  LIFE_TOO_SHORT: {
    http: 503,
    sentence: 'There is no token with as much life left as was asked for.',
    next: 'Ask for a smaller min_ttl, or try again in a while.',
  },
  SCOPE_NOT_GRANTED: {
    http: 403,
    sentence: 'The channel’s owner has not granted a scope that was asked for.',
    next: 'Ask for fewer scopes, or have the owner consent to them.',
  },
  HEADER_REQUIRED: {
    http: 403,
    sentence: 'The request lacks the header that a page or a forwarded request could not send.',
    next: 'Send `X-Sidecar-Request: true`, or `Metadata-Flavor: Google` on a GCE metadata port.',
  },
  HOST_REFUSED: {
    http: 403,
    sentence: 'The request was not sent to a loopback address by its own name.',
    next: 'Use http://127.0.0.1 with the sidecar’s port, without a proxy: set NO_PROXY=127.0.0.1,localhost.',
  },
  BROWSER_REFUSED: {
    http: 403,
    sentence: 'Tokens are not given to browsers.',
    next: 'Ask from the upload worker itself.',
  },
  FORWARDED_REFUSED: {
    http: 403,
    sentence: 'The request was forwarded by a proxy.',
    next: 'Ask from this machine directly: set NO_PROXY=127.0.0.1,localhost.',
  },
  METHOD_NOT_ALLOWED: {
    http: 405,
    sentence: 'This method is not understood here.',
    next: 'Send a GET request, or a POST where the path takes one; Allow says which.',
  },
  BODY_REFUSED: {
    http: 413,
    sentence: 'A request has no body here, or a shorter one.',
    next: 'Send a GET request without a body, or a POST with Content-Length and at most 4096 bytes.',
  },
  INVALID_REQUEST: {
    http: 400,
    sentence: 'The request is not valid.',
    next: 'min_ttl is a number of seconds up to 3300, scope a list with spaces between; a report is {"token_sha256":"64 hexadecimal digits"}.',
  },
  CALLER_REFUSED: {
    http: 403,
    sentence: 'This program is not among those that may have the channel’s tokens.',
    next: 'The operators let it in by SIDECAR_CALLERS, for example CHANNEL=uid:1001.',
  },
  CALLER_UNKNOWN: {
    http: 503,
    sentence: 'The system does not say which user has opened this connection.',
    next: 'Open another connection and keep it open until the answer is there.',
  },
  TOO_MANY_REQUESTS: {
    http: 429,
    sentence: 'This program asks far more often than a worker has to.',
    next: 'Keep a token for as long as it lives; the operators set the limit by SIDECAR_REQUESTS_PER_SECOND.',
  },
  LOCAL_SECRET_REFUSED: {
    http: 401,
    sentence: 'This is not the secret in the channel’s credential file.',
    next: 'The sidecar makes new credential files when it starts: start the worker again, so that it reads the new one.',
  },
  REPORTED_TOO_OFTEN: {
    http: 429,
    sentence: 'A token of this channel was reported and replaced a moment ago.',
    next: 'Read the token again; where YouTube refuses that one, too, the token is not what is wrong.',
  },
  NOT_FOUND: {
    http: 404,
    sentence: 'There is nothing at this path.',
    next: 'Tokens are at /v1/channels/CHANNEL/token, or on a GCE metadata port at the paths of Google’s metadata server.',
  },
  INTERNAL: {
    http: 500,
    sentence: 'Something went wrong in the sidecar.',
    next: 'The operators find the reason in the sidecar’s log.',
  },
} as const satisfies Record<string, ErrorRow>;

/** A code of the sidecar's own; stable. */
export type OwnCode = keyof typeof errorTable;

interface Refusal {
  /** Stable, from `errorTable` or from the broker's table. */
  readonly code: string;
  readonly http: number;
  readonly sentence: string;
  readonly next: string | undefined;
  /** Seconds after which a retry makes sense. */
  readonly retryAfter: number | undefined;
}

/** Why a local request gets no token. `cause` is for the log. */
export class SidecarError extends Error implements Refusal {
  override readonly name = 'SidecarError';
  readonly code: string;
  readonly http: number;
  readonly sentence: string;
  readonly next: string | undefined;
  readonly retryAfter: number | undefined;

  constructor(refusal: Refusal, options?: ErrorOptions) {
    super(refusal.code, options);
    this.code = refusal.code;
    this.http = refusal.http;
    this.sentence = refusal.sentence;
    this.next = refusal.next;
    this.retryAfter = refusal.retryAfter;
  }

  /** Whether trying again cannot help until somebody acts. */
  get permanent(): boolean {
    return this.http !== 503 && this.http !== 429;
  }
}

/** What one case of an error has beside its row in the table. */
export interface SidecarErrorOptions extends ErrorOptions {
  /** Goes behind the sentence, a sentence itself. */
  readonly detail?: string;
  /** Seconds. */
  readonly retryAfter?: number;
}

/** Makes an error of the sidecar's own table. */
export function sidecarError(
  code: OwnCode,
  { detail, retryAfter, ...options }: SidecarErrorOptions = {},
): SidecarError {
  const { http, sentence, next } = errorTable[code];
  const whole = detail === undefined ? sentence : `${sentence} ${detail}`;
  return new SidecarError({ code, http, sentence: whole, next, retryAfter }, options);
}
