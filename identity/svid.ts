/**
 * X.509 SVIDs: making the key and the request for one, and verifying one before it is used (SPIFFE X509-SVID,
 * sections 2 to 5). Time is an argument; nothing here talks to anybody.
 */
import { generateKeyPairSync, X509Certificate } from 'node:crypto';
import { parseSpiffeId, type SpiffeId, SpiffeIdError } from './spiffe-id.ts';
import { type CertificateFacts, createSigningRequest, readCertificate } from './x509.ts';

/** Who an X.509 SVID names, and for how long. */
export interface Svid {
  readonly spiffeId: SpiffeId;
  /** As Vault and OpenBao write it: `1a:2b:…`. */
  readonly serial: string;
  readonly notBefore: Date;
  readonly notAfter: Date;
}

/** The rule that a certificate breaks. */
export type SvidProblem =
  | 'UNREADABLE'
  | 'NOT_ONE_URI'
  | 'NOT_A_SPIFFE_ID'
  | 'IS_AN_AUTHORITY'
  | 'WRONG_KEY_USAGE'
  | 'WRONG_EXTENDED_KEY_USAGE'
  | 'NAMES_NOT_CRITICAL'
  | 'NOT_YET_VALID'
  | 'EXPIRED'
  | 'UNTRUSTED';

/** A certificate that is no SVID, or none that may be trusted now. */
export class SvidError extends Error {
  override readonly name = 'SvidError';
  readonly problem: SvidProblem;

  constructor(problem: SvidProblem, message: string, options?: ErrorOptions) {
    super(message, options);
    this.problem = problem;
  }
}

const SERVER_AUTH = '1.3.6.1.5.5.7.3.1';
const CLIENT_AUTH = '1.3.6.1.5.5.7.3.2';
/** Longer chains are not built by anybody; the bound keeps a hostile bundle cheap. */
const LONGEST_CHAIN = 8;

/**
 * Makes a new P-256 key in memory and a request for a certificate over it.
 *
 * @returns The private key as PKCS #8 PEM, for TLS; and the request as PEM, for `PKI/sign/ROLE`.
 */
export async function createKeyAndCsr(): Promise<{ readonly privateKeyPem: string; readonly csrPem: string }> {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  return {
    privateKeyPem: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    csrPem: await createSigningRequest(privateKey, publicKey),
  };
}

/**
 * Reads an SVID and checks everything that it says of itself, but neither dates nor signatures.
 *
 * @param certificate DER bytes, or one PEM block.
 * @throws SvidError with the first rule that it breaks.
 */
export function readSvid(certificate: Uint8Array | string): Svid {
  const facts = readFacts(certificate);
  const spiffeId = onlySpiffeId(facts);
  if (facts.isAuthority) throw new SvidError('IS_AN_AUTHORITY', 'the certificate is a certificate authority');
  checkKeyUsage(facts);
  if (facts.subjectIsEmpty && !facts.namesAreCritical)
    throw new SvidError('NAMES_NOT_CRITICAL', 'the subject is empty and the alternative names are not critical');
  return { spiffeId, serial: facts.serial, notBefore: facts.notBefore, notAfter: facts.notAfter };
}

/**
 * Verifies an SVID: everything that `readSvid` checks, its dates, and its chain to the trust bundle.
 *
 * @param svid.certificatePem The leaf.
 * @param svid.chainPem Certificates that came with it, in any order; they prove nothing by themselves.
 * @param svid.bundlePem Certificates of the trust domain; each of them is an anchor, also one that is not self-signed.
 * @throws SvidError with the first rule that it breaks.
 */
export function verifySvid(svid: {
  readonly certificatePem: string;
  readonly chainPem: readonly string[];
  readonly bundlePem: readonly string[];
  readonly now: Date;
}): Svid {
  const read = readSvid(svid.certificatePem);
  if (svid.now < read.notBefore)
    throw new SvidError('NOT_YET_VALID', `the certificate is valid only from ${read.notBefore.toISOString()}`);
  if (svid.now >= read.notAfter)
    throw new SvidError('EXPIRED', `the certificate expired at ${read.notAfter.toISOString()}`);
  const leaf = new X509Certificate(svid.certificatePem);
  const chain = svid.chainPem.map((pem) => new X509Certificate(pem));
  const anchors = svid.bundlePem.map((pem) => new X509Certificate(pem));
  if (!leadsToAnchor(leaf, chain, anchors, svid.now, LONGEST_CHAIN))
    throw new SvidError('UNTRUSTED', 'the certificate does not lead to the trust bundle');
  return read;
}

function readFacts(certificate: Uint8Array | string): CertificateFacts {
  try {
    return readCertificate(certificate);
  } catch (error) {
    throw new SvidError('UNREADABLE', 'the certificate cannot be read', { cause: error });
  }
}

function onlySpiffeId({ uris }: CertificateFacts): SpiffeId {
  const [uri, ...more] = uris;
  if (uri === undefined || more.length > 0)
    throw new SvidError('NOT_ONE_URI', `the certificate has ${uris.length} names of the type uri instead of one`);
  try {
    return parseSpiffeId(uri);
  } catch (error) {
    if (!(error instanceof SpiffeIdError)) throw error;
    throw new SvidError('NOT_A_SPIFFE_ID', error.message, { cause: error });
  }
}

function checkKeyUsage({ keyUsage, extendedKeyUsage }: CertificateFacts): void {
  if (!keyUsage?.critical || !keyUsage.signs || keyUsage.signsCertificates || keyUsage.signsCrls)
    throw new SvidError(
      'WRONG_KEY_USAGE',
      'the critical key usage must be digital signature and nothing of an authority',
    );
  if (extendedKeyUsage && !(extendedKeyUsage.includes(SERVER_AUTH) && extendedKeyUsage.includes(CLIENT_AUTH)))
    throw new SvidError(
      'WRONG_EXTENDED_KEY_USAGE',
      'the extended key usage must have server and client authentication',
    );
}

function leadsToAnchor(
  certificate: X509Certificate,
  chain: readonly X509Certificate[],
  anchors: readonly X509Certificate[],
  now: Date,
  steps: number,
): boolean {
  if (steps === 0) return false;
  const issued = (issuer: X509Certificate) => isIssuer(issuer, certificate, now);
  if (anchors.some(issued)) return true;
  return chain
    .filter((next) => next !== certificate && issued(next))
    .some((next) => leadsToAnchor(next, chain, anchors, now, steps - 1));
}

function isIssuer(issuer: X509Certificate, certificate: X509Certificate, now: Date): boolean {
  return (
    issuer.ca &&
    issuer.validFromDate <= now &&
    now < issuer.validToDate &&
    certificate.checkIssued(issuer) &&
    certificate.verify(issuer.publicKey)
  );
}
