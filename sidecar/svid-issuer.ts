/**
 * One new certificate: a key made in memory, a login, one `PKI/sign/ROLE`, the trust bundle, and a check of all that
 * before anybody uses it. The key is never written anywhere and never leaves the process.
 */
import type { SpiffeId } from '../identity/spiffe-id.ts';
import { createKeyAndCsr, SvidError, verifySvid } from '../identity/svid.ts';
import { IdentityError } from './identity-error.ts';
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
  readonly login: () => Promise<string>;
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

  return async (): Promise<WorkloadSvid> => {
    const { privateKeyPem, csrPem } = await createKeyAndCsr();
    const signed = signedCertificate(
      await vault({
        method: 'POST',
        path: signPath,
        token: await login(),
        body: { csr: csrPem, uri_sans: spiffeId.uri, format: 'pem', remove_roots_from_chain: true },
      }),
      signPath,
    );
    const bundlePem = await readBundle();
    const { serial, notAfter } = verify({ ...signed, bundlePem }, spiffeId, new Date(now()));
    return { spiffeId, serial, notAfter, privateKeyPem, ...signed, bundlePem };
  };
}

function signedCertificate(answer: VaultAnswer, path: string) {
  if (answer.status === 403)
    throw new IdentityError('SIGNING_FORBIDDEN', `vault does not allow ${path}: ${errorsOf(answer.text)}`);
  if (answer.status === 400)
    throw new IdentityError('SIGNING_REFUSED', `vault did not sign at ${path}: ${errorsOf(answer.text)}`);
  if (answer.status >= 400)
    throw new IdentityError('PATH_MISSING', `vault answered ${answer.status} at ${path}: ${errorsOf(answer.text)}`);
  return { certificatePem: certificateIn(answer.text, path), chainPem: pkiDataOf(answer.text).ca_chain ?? [] };
}

function verify(svid: Pick<WorkloadSvid, 'certificatePem' | 'chainPem' | 'bundlePem'>, wished: SpiffeId, now: Date) {
  try {
    const verified = verifySvid({ ...svid, now });
    if (verified.spiffeId.uri === wished.uri) return verified;
  } catch (cause) {
    if (!(cause instanceof SvidError)) throw cause;
    throw new IdentityError('SVID_REFUSED', 'vault signed a certificate that is no valid svid', { cause });
  }
  throw new IdentityError('SVID_REFUSED', 'vault signed a certificate for another spiffe id');
}
