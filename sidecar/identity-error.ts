const SECOND_MS = 1_000;
/** Of what only a person can mend: asking Vault again and again would fill its audit log, or lock the login. */
const BY_HAND_MS = 300 * SECOND_MS;
const PASSING_MS = 60 * SECOND_MS;

/** Every way in which the sidecar can fail to get its certificate, told apart because each has another cure. */
export const identityProblems = {
  CREDENTIAL_UNREADABLE: 'Check that the file exists, that it is whole, and that the sidecar’s user may read it.',
  CREDENTIAL_EXPIRED: 'Bring a new credential into the file; find out why what replaces it has stopped.',
  CREDENTIAL_REJECTED:
    'Bring a new secret id (`broker vault issue-credential`), or check what the login’s role in Vault wants of the token or certificate.',
  WRAPPING_TOKEN_USED:
    'Bring a new one (`broker vault issue-credential --wrap`). If no restart explains it, somebody else opened it: destroy that secret id.',
  WRAPPING_TOKEN_FOREIGN:
    'Somebody put a token into the file that no `issue-credential` has made: find out who, and bring a right one.',
  LOGIN_PATH_MISSING: 'Check SIDECAR_VAULT_AUTH and SIDECAR_VAULT_AUTH_MOUNT, or have the login enabled in Vault.',
  LOGIN_ROLE_MISSING: 'Check SIDECAR_VAULT_ROLE, or add the workload: `broker vault add-workload`.',
  LOGIN_FORBIDDEN:
    'Compare the login’s role in Vault with what is sent: service account, namespace, audience, and from which addresses it may log in.',
  NAMESPACE_MISSING: 'Check VAULT_NAMESPACE.',
  VAULT_UNREACHABLE: 'Check VAULT_ADDR and the network.',
  VAULT_NOT_TRUSTED: 'Check VAULT_CACERT, the host name in VAULT_ADDR, and the certificate of Vault.',
  VAULT_SEALED: 'An operator has to unseal Vault.',
  VAULT_STANDBY: 'Vault has no active node, or this is a standby that does not forward: look at the cluster.',
  VAULT_REDIRECTED: 'Let VAULT_ADDR name the active node, or a load balancer in front of it.',
  VAULT_BUSY: 'Vault has a rate limit that the logins exceed; it is tried again later.',
  VAULT_FAILING: 'Look at the log of Vault.',
  PATH_MISSING: 'Check SIDECAR_VAULT_PKI_MOUNT and VAULT_NAMESPACE.',
  SIGNING_ROLE_MISSING: 'Check SIDECAR_VAULT_PKI_ROLE.',
  SIGNING_FORBIDDEN:
    'Check SIDECAR_VAULT_PKI_ROLE, that the workload’s policy allows to sign there, and, with a token file, that the token is alive.',
  SIGNING_REFUSED: 'Check that the PKI role allows the SPIFFE ID of SIDECAR_SPIFFE_ID to this login.',
  SVID_REFUSED: 'Check the PKI role: what it signed is not the SVID that was asked for.',
  CLOCK_WRONG: 'Set the clock of this machine, or that of Vault: they differ by more than a new certificate bears.',
  ANSWER_NOT_UNDERSTOOD: 'Check that VAULT_ADDR is Vault or OpenBao, with the right scheme and port.',
} as const satisfies Record<string, string>;

/** Stable; seen in the log and in /readyz. */
export type IdentityProblem = keyof typeof identityProblems;

/** What can be over without anybody touching the sidecar's settings; looking at a file costs nobody anything. */
const passing: ReadonlySet<IdentityProblem> = new Set([
  'CREDENTIAL_UNREADABLE',
  'VAULT_UNREACHABLE',
  'VAULT_SEALED',
  'VAULT_STANDBY',
  'VAULT_BUSY',
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
