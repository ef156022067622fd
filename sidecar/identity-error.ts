const SECOND_MS = 1_000;
/** Of what only a person can mend: asking Vault again and again would fill its audit log, or lock the login. */
const BY_HAND_MS = 300 * SECOND_MS;
const PASSING_MS = 60 * SECOND_MS;

/** Every way in which the sidecar can fail to get its certificate, told apart because each has another cure. */
export const identityProblems = {
  CREDENTIAL_UNREADABLE: 'Check that the file exists and that the sidecar’s user may read it.',
  CREDENTIAL_REJECTED: 'Check the role id, and bring a new secret id.',
  LOGIN_FORBIDDEN: 'Check SIDECAR_VAULT_APPROLE_MOUNT, VAULT_NAMESPACE, and from which addresses the role may log in.',
  VAULT_UNREACHABLE: 'Check VAULT_ADDR, VAULT_CACERT and the network.',
  VAULT_SEALED: 'An operator has to unseal Vault.',
  VAULT_REDIRECTED: 'Let VAULT_ADDR name the active node, or a load balancer in front of it.',
  VAULT_FAILING: 'Look at the log of Vault.',
  PATH_MISSING: 'Check SIDECAR_VAULT_PKI_MOUNT, SIDECAR_VAULT_PKI_ROLE and VAULT_NAMESPACE.',
  SIGNING_FORBIDDEN:
    'Check SIDECAR_VAULT_PKI_MOUNT and SIDECAR_VAULT_PKI_ROLE, and that the workload’s policy allows to sign there.',
  SIGNING_REFUSED: 'Check that the PKI role allows the SPIFFE ID of SIDECAR_SPIFFE_ID.',
  SVID_REFUSED: 'Check the PKI role: what it signed is not the SVID that was asked for.',
  ANSWER_NOT_UNDERSTOOD: 'Check that VAULT_ADDR is Vault or OpenBao.',
} as const satisfies Record<string, string>;

/** Stable; seen in the log and in /readyz. */
export type IdentityProblem = keyof typeof identityProblems;

/** What can be over without anybody touching the sidecar's settings; looking at a file costs nobody anything. */
const passing: ReadonlySet<IdentityProblem> = new Set([
  'CREDENTIAL_UNREADABLE',
  'VAULT_UNREACHABLE',
  'VAULT_SEALED',
  'VAULT_FAILING',
]);

/** Why there is no new certificate. The message is for the log. */
export class IdentityError extends Error {
  override readonly name = 'IdentityError';
  readonly code: IdentityProblem;

  constructor(code: IdentityProblem, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }

  /** How long to wait between two attempts at the most, in milliseconds. */
  get longestWaitMs(): number {
    return passing.has(this.code) ? PASSING_MS : BY_HAND_MS;
  }

  /** What to do about it. */
  get next(): string {
    return identityProblems[this.code];
  }
}
