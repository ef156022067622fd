import { generateKeyPairSync } from 'node:crypto';
import { SignJWT } from 'jose';

/** Whose token it is, and what for; as the kubelet projects it. */
export interface ServiceAccountWish {
  readonly namespace: string;
  readonly name: string;
  readonly audience?: string;
  /** Seconds from now; less than zero for one that has ended. */
  readonly lifetime?: number;
}

/** A cluster's issuer of service-account tokens, for a Vault that verifies them by its public key. */
export interface ServiceAccounts {
  readonly issuer: string;
  readonly publicKeyPem: string;
  token(wish: ServiceAccountWish): Promise<string>;
}

export function createServiceAccounts(): ServiceAccounts {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const issuer = 'https://kubernetes.default.svc.cluster.local';
  return {
    issuer,
    publicKeyPem: publicKey.export({ type: 'spki', format: 'pem' }).toString().trim(),
    token({ namespace, name, audience = 'vault', lifetime = 600 }) {
      const now = Math.floor(Date.now() / 1_000);
      return new SignJWT({ 'kubernetes.io': { namespace, serviceaccount: { name, uid: `uid-of-${name}` } } })
        .setProtectedHeader({ alg: 'ES256' })
        .setIssuer(issuer)
        .setSubject(`system:serviceaccount:${namespace}:${name}`)
        .setAudience(audience)
        .setIssuedAt(now - 1_200)
        .setExpirationTime(now + lifetime)
        .sign(privateKey);
    },
  };
}
