/**
 * The broker's own identity: a key made in memory and an X.509 SVID that Vault PKI signs for it. Renewed at half of its
 * life ± 10 %; the old one serves until the new one has been verified. A renewal that fails is tried again, later and
 * later, until it works.
 */
import { createKeyAndCsr, verifySvid } from '../../identity/svid.ts';
import { BrokerError } from '../errors.ts';
import type { CertificateAuthority, Clock } from '../ports.ts';

export interface BrokerIdentity {
  readonly privateKeyPem: string;
  /** The leaf and its intermediates. */
  readonly certificateChainPem: string;
  /** Whom to trust. */
  readonly bundlePem: readonly string[];
  readonly notBefore: Date;
  readonly notAfter: Date;
}

export interface BrokerIdentitySource {
  current(): BrokerIdentity;
  stop(): Promise<void>;
}

const firstRetryMs = 1_000;
const longestRetryMs = 60_000;

/** Throws VAULT_* where the first certificate cannot be had. */
export async function startBrokerIdentity(deps: {
  authority: CertificateAuthority;
  spiffeId: string;
  pkiRole: string;
  clock: Clock;
  /** From 0 to 1. */
  randomFraction: () => number;
  sleep: (ms: number, signal: AbortSignal) => Promise<void>;
  onRotated: (identity: BrokerIdentity) => void;
  onFault: (error: unknown) => void;
}): Promise<BrokerIdentitySource> {
  const { clock, randomFraction, sleep, onRotated, onFault } = deps;
  const stopping = new AbortController();
  let identity = await issue(deps);
  onRotated(identity);

  async function rotateForEver(): Promise<void> {
    let failures = 0;
    while (!stopping.signal.aborted) {
      await sleep(failures === 0 ? untilHalfLife() : untilRetry(failures), stopping.signal);
      if (stopping.signal.aborted) return;
      try {
        identity = await issue(deps);
        onRotated(identity);
        failures = 0;
      } catch (error) {
        failures += 1;
        onFault(error);
      }
    }
  }

  function untilHalfLife(): number {
    const life = identity.notAfter.getTime() - identity.notBefore.getTime();
    const turn = identity.notBefore.getTime() + life * (0.45 + 0.1 * randomFraction());
    return Math.max(0, turn - clock.now().getTime());
  }

  function untilRetry(failures: number): number {
    return Math.min(longestRetryMs, firstRetryMs * 2 ** (failures - 1)) * (0.5 + randomFraction() / 2);
  }

  const rotation = rotateForEver();
  return {
    current: () => identity,
    async stop() {
      stopping.abort();
      await rotation;
    },
  };
}

async function issue(deps: {
  authority: CertificateAuthority;
  spiffeId: string;
  pkiRole: string;
  clock: Clock;
}): Promise<BrokerIdentity> {
  const { privateKeyPem, csrPem } = await createKeyAndCsr();
  const [signed, bundlePem] = await Promise.all([
    deps.authority.signCertificate({ role: deps.pkiRole, csrPem, uriSan: deps.spiffeId }),
    deps.authority.trustBundle(),
  ]);
  const { certificatePem, chainPem } = signed;
  const svid = verifySvid({ certificatePem, chainPem, bundlePem, now: deps.clock.now() });
  if (svid.spiffeId.uri !== deps.spiffeId) {
    throw new BrokerError('VAULT_FORBIDDEN', { detail: `vault signed ${svid.spiffeId.uri}, not ${deps.spiffeId}` });
  }
  return {
    privateKeyPem,
    certificateChainPem: [certificatePem, ...chainPem].map((pem) => pem.trim()).join('\n'),
    bundlePem,
    notBefore: svid.notBefore,
    notAfter: svid.notAfter,
  };
}
