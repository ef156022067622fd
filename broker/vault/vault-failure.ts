import { BrokerError, type ErrorCode } from '../errors.ts';

/**
 * What kept Vault from doing as asked. `rate_limited` is Vault's quota (429 on an ordinary path); `standby` a node that
 * does not serve; `redirected` an answer that points elsewhere, which is never followed; `server_error` any other 5xx.
 */
export type VaultFailureKind =
  | 'sealed'
  | 'standby'
  | 'rate_limited'
  | 'forbidden'
  | 'login_refused'
  | 'credential_unreadable'
  | 'not_found'
  | 'bad_request'
  | 'unreachable'
  | 'timed_out'
  | 'redirected'
  | 'unexpected_answer'
  | 'server_error'
  | 'closed';

const codes = {
  sealed: 'VAULT_SEALED',
  standby: 'VAULT_UNAVAILABLE',
  rate_limited: 'VAULT_UNAVAILABLE',
  forbidden: 'VAULT_FORBIDDEN',
  login_refused: 'VAULT_FORBIDDEN',
  credential_unreadable: 'VAULT_FORBIDDEN',
  not_found: 'INTERNAL',
  bad_request: 'INTERNAL',
  unreachable: 'VAULT_UNAVAILABLE',
  timed_out: 'VAULT_UNAVAILABLE',
  redirected: 'VAULT_UNAVAILABLE',
  unexpected_answer: 'VAULT_UNAVAILABLE',
  server_error: 'VAULT_UNAVAILABLE',
  closed: 'VAULT_UNAVAILABLE',
} as const satisfies Record<VaultFailureKind, ErrorCode>;

const passing: ReadonlySet<VaultFailureKind> = new Set(['standby', 'rate_limited', 'unreachable', 'server_error']);

/**
 * One call that Vault did not do. It carries the method, the path and Vault's own list of errors; never a header, a
 * request body or an answer's data.
 */
export class VaultFailure extends Error {
  override readonly name = 'VaultFailure';
  readonly kind: VaultFailureKind;
  /** HTTP status; undefined where no answer came. */
  readonly status: number | undefined;
  /** Vault's `errors`, with every value that was sent to it taken out. */
  readonly problems: readonly string[];

  constructor(
    kind: VaultFailureKind,
    message: string,
    options: { readonly status?: number; readonly problems?: readonly string[]; readonly cause?: unknown } = {},
  ) {
    super(message, { cause: options.cause });
    this.kind = kind;
    this.status = options.status;
    this.problems = options.problems ?? [];
  }

  /** Whether the same call can succeed in a moment. */
  get isPassing(): boolean {
    return passing.has(this.kind);
  }
}

/**
 * Turns a failure into the table's error and keeps it as the cause. `not_found` and `bad_request` become INTERNAL: an
 * adapter that expects them looks with `vaultFailureOf` and translates.
 */
export function asVaultError(failure: VaultFailure): BrokerError {
  const detail = [failure.message, ...failure.problems].join(': ');
  return new BrokerError(codes[failure.kind], { detail, cause: failure });
}

/** Finds the failure behind an error that a connection threw; undefined where there is none. */
export function vaultFailureOf(error: unknown): VaultFailure | undefined {
  if (error instanceof VaultFailure) return error;
  return error instanceof BrokerError && error.cause instanceof VaultFailure ? error.cause : undefined;
}
