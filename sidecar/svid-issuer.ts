/**
 * One new certificate: a key made in memory, a login, one `PKI/sign/ROLE`, the trust bundle, and a check of all that
 * before anybody uses it. The key is never written anywhere and never leaves the process.
 */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import type { SpiffeId } from '../identity/spiffe-id.ts';
import { createKeyAndCsr, type Svid, SvidError, verifySvid } from '../identity/svid.ts';
import { IdentityError } from './identity-error.ts';
import type { VaultLogin } from './vault/log-in.ts';
import { certificateIn, pkiDataOf } from './vault/pki-answer.ts';
import { errorsOf, type VaultAnswer, type VaultRequest } from './vault/request.ts';
import { createBundleReader } from './vault/trust-bundle.ts';

/** The sidecar's own SVID, ready for TLS. */
export interface WorkloadSvid {
  readonly spiffeId: SpiffeId;
  /** As Vault writes it: `1a:2b:…`. */
  readonly serial: string;
  readonly notAfter: Date;
  readonly privateKeyPem: string;
  readonly certificatePem: string;
  /** Intermediates to send along. */
  readonly chainPem: readonly string[];
  /** Whom to trust: every authority of the PKI mount. */
  readonly bundlePem: readonly string[];
}

export interface IssuerOptions {
  readonly vault: VaultRequest;
  readonly login: VaultLogin;
  readonly pkiMount: string;
  readonly pkiRole: string;
  /** The identity to ask for; another one is refused, also when Vault signs it. */
  readonly spiffeId: SpiffeId;
  readonly now: () => number;
}

/**
 * Makes the issuer.
 *
 * @returns A function that resolves to a verified SVID.
 * @throws IdentityError from that function.
 */
export function createSvidIssuer(options: IssuerOptions) {
  const { vault, login, pkiMount, pkiRole, spiffeId, now } = options;
  const signPath = `${pkiMount}/sign/${pkiRole}`;
  const readBundle = createBundleReader(vault, pkiMount);

  const sign = async (body: Readonly<Record<string, unknown>>) => {
    const session = await login();
    try {
      const answer = await vault({ method: 'POST', path: signPath, token: session.token, body });
      if (answer.status >= 400) throw await refusalOf(answer);
      return { certificatePem: certificateIn(answer.text, signPath), chainPem: pkiDataOf(answer.text).ca_chain ?? [] };
    } finally {
      await session.end();
    }
  };

  /** Which thing is wrong where Vault does not sign. */
  const refusalOf = async ({ status, text }: VaultAnswer): Promise<IdentityError> => {
    const reason = errorsOf(text);
    if (status === 404) return new IdentityError('PATH_MISSING', `vault has nothing at ${signPath}: ${reason}`);
    if (status === 403) {
      // The list of authorities is open to anybody: whoever may not see it stands before no PKI engine.
      const issuers = await vault({ method: 'GET', path: `${pkiMount}/issuers?list=true`, bearFailure: true });
      if (issuers.status === 403) return new IdentityError('PATH_MISSING', `there is no pki engine at ${pkiMount}`);
      return new IdentityError('SIGNING_FORBIDDEN', `vault does not allow ${signPath}: ${reason}`);
    }
    // Both are a 400; the words only choose the advice.
    if (reason === `unknown role: ${pkiRole}`)
      return new IdentityError('SIGNING_ROLE_MISSING', `vault has no role at ${signPath}`);
    return new IdentityError('SIGNING_REFUSED', `vault did not sign at ${signPath}: ${reason}`);
  };

  return async (): Promise<WorkloadSvid> => {
    const { privateKeyPem, csrPem } = await createKeyAndCsr();
    const signed = await sign({ csr: csrPem, uri_sans: spiffeId.uri, format: 'pem', remove_roots_from_chain: true });
    const bundlePem = await readBundle();
    const { serial, notAfter } = verify({ ...signed, bundlePem, privateKeyPem }, spiffeId, new Date(now()));
    return { spiffeId, serial, notAfter, privateKeyPem, ...signed, bundlePem };
  };
}

function verify(svid: Omit<WorkloadSvid, 'spiffeId' | 'serial' | 'notAfter'>, wished: SpiffeId, now: Date): Svid {
  const verified = valid(svid, now);
  if (verified.spiffeId.uri !== wished.uri)
    throw new IdentityError('SVID_REFUSED', 'vault signed a certificate for another spiffe id');
  if (!new X509Certificate(svid.certificatePem).checkPrivateKey(createPrivateKey(svid.privateKeyPem)))
    throw new IdentityError('SVID_REFUSED', 'vault signed a certificate for another key');
  return verified;
}

function valid(svid: Parameters<typeof verify>[0], now: Date): Svid {
  try {
    return verifySvid({ ...svid, now });
  } catch (cause) {
    if (!(cause instanceof SvidError)) throw cause;
    if (cause.problem === 'NOT_YET_VALID' || cause.problem === 'EXPIRED')
      throw new IdentityError('CLOCK_WRONG', 'a new certificate is out of date by the clock here', { cause });
    throw new IdentityError('SVID_REFUSED', 'vault signed a certificate that is no valid svid', { cause });
  }
}
