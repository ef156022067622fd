/** Certificates from Vault's PKI for the broker itself, and the roots that its peers' certificates are checked with. */
import { z } from 'zod';
import { BrokerError } from '../errors.ts';
import type { VaultConnection } from './connection.ts';
import { vaultName } from './name.ts';
import { vaultFailureOf } from './vault-failure.ts';

export interface SigningRequest {
  /** The PKI role, for example `broker`. */
  readonly role: string;
  /** PKCS #10; the private key stays with its maker. */
  readonly csrPem: string;
  /** The one SPIFFE ID. Names in the CSR are ignored by our roles. */
  readonly uriSan: string;
  /** Seconds; the role's maximum where left out. */
  readonly ttl?: number;
}

export interface SignedCertificate {
  readonly certificatePem: string;
  /** Intermediates, nearest first, without the root; empty where the root signed. */
  readonly chainPem: readonly string[];
  /** Hex pairs with colons, as `pki/revoke` takes it. */
  readonly serial: string;
  readonly expiresAt: Date;
}

export interface CertificateAuthority {
  /** Throws VAULT_FORBIDDEN where the role does not allow the SPIFFE ID. */
  signCertificate(request: SigningRequest): Promise<SignedCertificate>;
  /** All issuers of the mount as PEM, so that peers signed before a change of the root stay trusted. */
  trustBundle(): Promise<readonly string[]>;
}

const signedAnswer = z.object({
  certificate: z.string(),
  ca_chain: z.array(z.string()).nullish(),
  serial_number: z.string(),
  expiration: z.coerce.number(),
});
const issuer = z.object({ certificate: z.string() });

export function createCertificateAuthority(deps: {
  readonly vault: VaultConnection;
  readonly pki: string;
}): CertificateAuthority {
  const { vault, pki } = deps;

  return {
    async signCertificate({ role, csrPem, uriSan, ttl }) {
      const body = {
        csr: csrPem,
        uri_sans: uriSan,
        remove_roots_from_chain: true,
        ...(ttl === undefined ? {} : { ttl }),
      };
      try {
        const answer = await vault.compute(`${pki}/sign/${vaultName(role)}`, body, signedAnswer);
        return {
          certificatePem: answer.certificate,
          chainPem: answer.ca_chain ?? [],
          serial: answer.serial_number,
          expiresAt: new Date(answer.expiration * 1000),
        };
      } catch (error) {
        const failure = vaultFailureOf(error);
        if (failure?.kind !== 'bad_request') throw error;
        const detail = [`vault does not sign ${uriSan} for the role ${role}`, ...failure.problems].join(': ');
        throw new BrokerError('VAULT_FORBIDDEN', { detail, cause: error });
      }
    },

    async trustBundle() {
      const ids = await vault.list(`${pki}/issuers`);
      const issuers = await Promise.all(ids.map((id) => vault.read(`${pki}/issuer/${id}/json`, issuer)));
      return issuers.map(({ certificate }) => certificate);
    },
  };
}
