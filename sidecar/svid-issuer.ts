/**
 * One new certificate: a key made in memory, a login, one `PKI/sign/ROLE`, the trust bundle, and a check of all that
 * before anybody uses it. The key is never written anywhere and never leaves the process.
 */
import * as z from 'zod';
import type { SpiffeId } from '../identity/spiffe-id.ts';
import { createKeyAndCsr, SvidError, verifySvid } from '../identity/svid.ts';
import { IdentityError } from './identity-error.ts';
import { errorsOf, type VaultAnswer, type VaultRequest } from './vault-request.ts';

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

const pkiData = z.object({
  certificate: z.string().optional(),
  ca_chain: z.array(z.string()).nullish(),
  keys: z.array(z.string()).optional(),
});
const pkiAnswer = z.object({ data: pkiData });

/**
 * Makes the issuer.
 *
 * @returns A function that resolves to a verified SVID.
 * @throws IdentityError from that function.
 */
export function createSvidIssuer(options: IssuerOptions) {
  const { vault, login, pkiMount, pkiRole, spiffeId, now } = options;
  const signPath = `${pkiMount}/sign/${pkiRole}`;

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
    const bundlePem = await readBundle(vault, pkiMount);
    const { serial, notAfter } = verify({ ...signed, bundlePem }, spiffeId, new Date(now()));
    return { spiffeId, serial, notAfter, privateKeyPem, ...signed, bundlePem };
  };
}

function signedCertificate(answer: VaultAnswer, path: string) {
  if (answer.status === 403)
    throw new IdentityError('SIGNING_FORBIDDEN', `vault does not allow ${path}: ${errorsOf(answer.text)}`);
  if (answer.status === 400)
    throw new IdentityError('SIGNING_REFUSED', `vault did not sign at ${path}: ${errorsOf(answer.text)}`);
  const { certificate, ca_chain: chain } = dataOf(expected(answer, path));
  if (certificate === undefined)
    throw new IdentityError('ANSWER_NOT_UNDERSTOOD', `vault answered ${path} without a certificate`);
  return { certificatePem: certificate, chainPem: chain ?? [] };
}

/**
 * Reads every authority of the mount, not only the one that signs today: after a change of authority there are two,
 * and certificates of both are in use. Both paths are open to anybody.
 */
async function readBundle(vault: VaultRequest, mount: string): Promise<readonly string[]> {
  const path = `${mount}/issuers`;
  const { keys = [] } = dataOf(expected(await vault({ method: 'GET', path: `${path}?list=true` }), path));
  return Promise.all(
    keys.map(async (id) => {
      const answer = expected(await vault({ method: 'GET', path: `${mount}/issuer/${id}/json` }), path);
      const { certificate } = dataOf(answer);
      if (certificate === undefined)
        throw new IdentityError('ANSWER_NOT_UNDERSTOOD', `vault has an odd answer at ${path}`);
      return certificate;
    }),
  );
}

function expected({ status, text }: VaultAnswer, path: string): string {
  if (status >= 400) throw new IdentityError('PATH_MISSING', `vault answered ${status} at ${path}: ${errorsOf(text)}`);
  return text;
}

function dataOf(text: string): z.output<typeof pkiData> {
  try {
    return pkiAnswer.parse(JSON.parse(text)).data;
  } catch (cause) {
    throw new IdentityError('ANSWER_NOT_UNDERSTOOD', 'vault did not answer as its pki engine does', { cause });
  }
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
