/**
 * DPoP proofs for the token endpoint (RFC 9449 §4.2, Google's DPoP adoption guide). The key lives in Vault transit: the
 * signing input is made here, the signature there.
 *
 * At the code grant Google wants `jti` to be the SHA-256 of the code; at a refresh it is fresh and random. The two
 * grants have nonces of their own, which are never mixed.
 */
import { createHash } from 'node:crypto';
import type { RandomBytes } from '../domain/identifier.ts';
import type { Secret } from '../domain/secret.ts';
import type { Clock, DpopKeys } from '../ports.ts';

export interface ProofRequest {
  readonly oauthClient: string;
  readonly keyVersion: number;
  /** The token endpoint. */
  readonly url: string;
  readonly jti: string;
  readonly nonce: string | undefined;
}

export function createProofs(deps: { keys: DpopKeys; clock: Clock }) {
  return async (request: ProofRequest): Promise<string> => {
    const jwk = await deps.keys.publicKey(request.oauthClient, request.keyVersion);
    const header = { typ: 'dpop+jwt', alg: 'ES256', jwk: { kty: jwk.kty, crv: jwk.crv, x: jwk.x, y: jwk.y } };
    const claims = {
      htm: 'POST',
      htu: request.url,
      iat: Math.floor(deps.clock.now().getTime() / 1000),
      jti: request.jti,
      ...(request.nonce === undefined ? {} : { nonce: request.nonce }),
    };
    const signingInput = `${encode(header)}.${encode(claims)}`;
    return `${signingInput}.${await deps.keys.sign(request.oauthClient, request.keyVersion, signingInput)}`;
  };
}

export function codeJti(code: Secret<string>): string {
  return createHash('sha256').update(code.reveal()).digest('base64url');
}

export function freshJti(random: RandomBytes): string {
  return random(16).toString('base64url');
}

function encode(part: object): string {
  return Buffer.from(JSON.stringify(part)).toString('base64url');
}
