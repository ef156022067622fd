/**
 * How a request to the token endpoint can fail, told apart by parsed fields (HTTP status, `error`, `error_subtype`,
 * content type), never by message text. Each class has one act; see the error table in docs/refreshing.md.
 */

export type FailureClass =
  /** `invalid_grant`: the refresh token (or the code) is dead, once confirmed. */
  | 'grant_dead'
  /** `invalid_grant` with `invalid_rapt`: Google's session control asks the owner to sign in again. */
  | 'session_control'
  /** `admin_policy_enforced`: a Workspace administrator blocks us; a new consent does not help. */
  | 'admin_policy'
  /** `use_dpop_nonce` a second time, or `invalid_dpop_proof`: our key, clock or bug. */
  | 'dpop_rejected'
  /** `invalid_client`, `unauthorized_client`, `deleted_client`, `disabled_client`: our OAuth client, never the owner. */
  | 'client_rejected'
  /** 429, or Google's human 403 page: slow down. */
  | 'rate_limited'
  /** 5xx, timeouts, resets, TLS, DNS, an answer that cannot be read: theirs or the network's. */
  | 'unavailable'
  /** Any other error code: a request of ours that Google does not accept. */
  | 'request_rejected';

export interface TokenEndpointFailure {
  readonly class: FailureClass;
  /** HTTP status; undefined where no answer came. */
  readonly status: number | undefined;
  /** The `error` field (RFC 6749 §5.2), where there was one. */
  readonly error: string | undefined;
  /** Google's `error_subtype`. */
  readonly subtype: string | undefined;
  /** Seconds, from `Retry-After`. */
  readonly retryAfter: number | undefined;
  /** Whether Google may have acted although we have no answer (the request had been sent). */
  readonly maybeActed: boolean;
}

export interface TokenEndpointAnswer {
  readonly status: number;
  readonly contentType: string;
  /** The parsed JSON body; undefined where it is not JSON. */
  readonly body: Readonly<Record<string, unknown>> | undefined;
  readonly retryAfter: number | undefined;
}

/** Classifies an answer that is not a success. */
export function classifyAnswer(answer: TokenEndpointAnswer): TokenEndpointFailure {
  const error = stringField(answer.body, 'error');
  const subtype = stringField(answer.body, 'error_subtype');
  return {
    class: classOf(answer.status, error, subtype),
    status: answer.status,
    error,
    subtype,
    retryAfter: answer.retryAfter,
    maybeActed: answer.status >= 500 || (answer.status >= 200 && answer.status < 300),
  };
}

/** The failure of a request that got no answer: time-out, reset, TLS, DNS. */
export function noAnswer(): TokenEndpointFailure {
  return {
    class: 'unavailable',
    status: undefined,
    error: undefined,
    subtype: undefined,
    retryAfter: undefined,
    maybeActed: true,
  };
}

function classOf(status: number, error: string | undefined, subtype: string | undefined): FailureClass {
  if (status === 429) return 'rate_limited';
  if (status >= 500 || status < 400) return 'unavailable';
  switch (error) {
    case undefined:
      // Google limits a refresh token that many machines use at once by a 403 page for people, without any code.
      return status === 403 ? 'rate_limited' : 'unavailable';
    case 'invalid_grant':
      return subtype === 'invalid_rapt' ? 'session_control' : 'grant_dead';
    case 'admin_policy_enforced':
      return 'admin_policy';
    case 'use_dpop_nonce':
    case 'invalid_dpop_proof':
      return 'dpop_rejected';
    case 'invalid_client':
    case 'unauthorized_client':
    case 'deleted_client':
    case 'disabled_client':
      return 'client_rejected';
    case 'temporarily_unavailable':
    case 'server_error':
      return 'unavailable';
    case 'rate_limit_exceeded':
    case 'slow_down':
      return 'rate_limited';
    default:
      return 'request_rejected';
  }
}

function stringField(body: Readonly<Record<string, unknown>> | undefined, field: string): string | undefined {
  const value = body?.[field];
  return typeof value === 'string' ? value : undefined;
}
