import 'reflect-metadata';
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import {
  BasicConstraintsExtension,
  ExtendedKeyUsageExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  SubjectAlternativeNameExtension,
  X509CertificateGenerator,
} from '@peculiar/x509';

/** What a certificate made for a test says; every field may be wrong on purpose. */
export interface CertificateWish {
  readonly subject?: string;
  readonly uris?: readonly string[];
  readonly notBefore?: Date;
  readonly notAfter?: Date;
  readonly isAuthority?: boolean;
  readonly keyUsage?: { readonly flags: number; readonly critical: boolean } | 'missing';
  readonly extendedKeyUsage?: readonly string[] | 'missing';
  readonly namesAreCritical?: boolean;
}

/** A certificate with its key, able to issue others, also where it should not be. */
export interface TestCertificate {
  readonly certificatePem: string;
  readonly privateKeyPem: string;
  /** DER. */
  readonly raw: Buffer;
  issue(wish: CertificateWish): Promise<TestCertificate>;
}

export const SERVER_AUTH = '1.3.6.1.5.5.7.3.1';
export const CLIENT_AUTH = '1.3.6.1.5.5.7.3.2';
const HOUR_MS = 3_600_000;
const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };

/** Makes a self-signed certificate authority, or what the wish makes of it. */
export function createAuthority(wish: CertificateWish = {}): Promise<TestCertificate> {
  return create({ subject: 'CN=Test root', isAuthority: true, extendedKeyUsage: 'missing', ...wish }, undefined);
}

/** An SVID as it should be; tests change one thing at a time. */
export function goodSvid(uri: string): CertificateWish {
  return { uris: [uri] };
}

interface Issuer {
  readonly subject: string;
  readonly key: CryptoKey;
}
type CryptoKey = Awaited<ReturnType<typeof crypto.subtle.importKey>>;

async function create(wish: CertificateWish, issuer: Issuer | undefined): Promise<TestCertificate> {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const signingKey = privateKey.toCryptoKey(ALGORITHM, false, ['sign']);
  const subject = wish.subject ?? '';
  const certificate = await X509CertificateGenerator.create({
    serialNumber: randomBytes(8).toString('hex').replace(/^./, '7'),
    subject,
    issuer: issuer?.subject ?? subject,
    publicKey: publicKey.toCryptoKey(ALGORITHM, true, ['verify']),
    signingKey: issuer?.key ?? signingKey,
    signingAlgorithm: ALGORITHM,
    notBefore: wish.notBefore ?? new Date(Date.now() - HOUR_MS),
    notAfter: wish.notAfter ?? new Date(Date.now() + HOUR_MS),
    extensions: extensionsOf(wish),
  });
  return {
    certificatePem: certificate.toString('pem'),
    privateKeyPem: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    raw: Buffer.from(certificate.rawData),
    issue: (next) => create(next, { subject, key: signingKey }),
  };
}

function extensionsOf(wish: CertificateWish) {
  const isAuthority = wish.isAuthority ?? false;
  const usage = wish.keyUsage ?? {
    flags: isAuthority ? KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign : KeyUsageFlags.digitalSignature,
    critical: true,
  };
  const purposes = wish.extendedKeyUsage ?? [SERVER_AUTH, CLIENT_AUTH];
  const names = (wish.uris ?? []).map((value) => ({ type: 'url' as const, value }));
  return [
    new BasicConstraintsExtension(isAuthority, undefined, true),
    ...(usage === 'missing' ? [] : [new KeyUsagesExtension(usage.flags, usage.critical)]),
    ...(purposes === 'missing' ? [] : [new ExtendedKeyUsageExtension([...purposes])]),
    ...(names.length === 0 ? [] : [new SubjectAlternativeNameExtension(names, wish.namesAreCritical ?? true)]),
  ];
}

export { KeyUsageFlags };
