/** The only import of `@peculiar/x509`: certificates as plain facts, and certificate signing requests. */
import 'reflect-metadata';
import type { KeyObject } from 'node:crypto';
import {
  BasicConstraintsExtension,
  ExtendedKeyUsageExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  Pkcs10CertificateRequestGenerator,
  SubjectAlternativeNameExtension,
  X509Certificate,
  X509Crl,
} from '@peculiar/x509';
import { serialOf } from './serial.ts';

/** What a certificate says of itself; nothing here has been verified. */
export interface CertificateFacts {
  /** Every subject alternative name of the type URI, in order. */
  readonly uris: readonly string[];
  /** Lower-case hexadecimal bytes with colons between, as Vault and OpenBao write a `serial_number`. */
  readonly serial: string;
  readonly notBefore: Date;
  readonly notAfter: Date;
  readonly subjectIsEmpty: boolean;
  readonly namesAreCritical: boolean;
  /** `cA` of the basic constraints. */
  readonly isAuthority: boolean;
  /** Undefined where the extension is missing. */
  readonly keyUsage:
    | {
        readonly critical: boolean;
        readonly signs: boolean;
        readonly signsCertificates: boolean;
        readonly signsCrls: boolean;
      }
    | undefined;
  /** Object identifiers; undefined where the extension is missing. */
  readonly extendedKeyUsage: readonly string[] | undefined;
}

/**
 * Reads one certificate.
 *
 * @param certificate DER bytes, or one PEM block.
 * @throws Error when it is not a certificate, or an extension cannot be parsed.
 */
export function readCertificate(certificate: Uint8Array | string): CertificateFacts {
  const parsed = new X509Certificate(typeof certificate === 'string' ? certificate : Uint8Array.from(certificate));
  const names = parsed.getExtension(SubjectAlternativeNameExtension);
  const keyUsage = parsed.getExtension(KeyUsagesExtension);
  return {
    uris: (names?.names.items ?? []).filter((name) => name.type === 'url').map((name) => name.value),
    serial: serialOf(parsed.serialNumber),
    notBefore: parsed.notBefore,
    notAfter: parsed.notAfter,
    subjectIsEmpty: parsed.subject === '',
    namesAreCritical: names?.critical ?? false,
    isAuthority: parsed.getExtension(BasicConstraintsExtension)?.ca ?? false,
    keyUsage: keyUsage
      ? {
          critical: keyUsage.critical,
          signs: (keyUsage.usages & KeyUsageFlags.digitalSignature) !== 0,
          signsCertificates: (keyUsage.usages & KeyUsageFlags.keyCertSign) !== 0,
          signsCrls: (keyUsage.usages & KeyUsageFlags.cRLSign) !== 0,
        }
      : undefined,
    extendedKeyUsage: parsed.getExtension(ExtendedKeyUsageExtension)?.usages.map(String),
  };
}

/** What a certificate revocation list says (RFC 5280, section 5). */
export interface CrlFacts {
  readonly thisUpdate: Date;
  /** Undefined where it does not say when the next one comes. */
  readonly nextUpdate: Date | undefined;
  /** As `CertificateFacts.serial`. */
  readonly serials: readonly string[];
  /** Tells whether the authority has signed it. */
  isSignedBy(certificatePem: string): Promise<boolean>;
}

/**
 * Reads one certificate revocation list. Costs a parse of every entry.
 *
 * @throws Error when it is not one.
 */
export function readCrl(pem: string): CrlFacts {
  const crl = new X509Crl(pem);
  return {
    thisUpdate: crl.thisUpdate,
    nextUpdate: crl.nextUpdate,
    serials: crl.entries.map(({ serialNumber }) => serialOf(serialNumber)),
    async isSignedBy(certificatePem) {
      const issuer = new X509Certificate(certificatePem);
      return issuer.subject === crl.issuer && (await crl.verify({ publicKey: issuer }));
    },
  };
}

/**
 * Makes a signing request without subject and without names: what the certificate will say is decided by the
 * certificate authority's role, not by the request (PKCS #10, RFC 2986).
 *
 * @param privateKey A P-256 key, which signs the request.
 * @param publicKey The other half.
 * @returns The request as PEM.
 */
export async function createSigningRequest(privateKey: KeyObject, publicKey: KeyObject): Promise<string> {
  const curve = { name: 'ECDSA', namedCurve: 'P-256' };
  const request = await Pkcs10CertificateRequestGenerator.create({
    keys: {
      privateKey: privateKey.toCryptoKey(curve, false, ['sign']),
      publicKey: publicKey.toCryptoKey(curve, true, ['verify']),
    },
    signingAlgorithm: { name: 'ECDSA', hash: 'SHA-256' },
  });
  return request.toString('pem');
}
