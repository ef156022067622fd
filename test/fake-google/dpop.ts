/**
 * DPoP at the token endpoint as Google's adoption guide asks for it (reference G25–G28, RFC 9449):
 * at the code exchange `jti` is `base64url(sha256(code))`, at a refresh it is random; nonces of the two live in
 * separate name spaces; a request refused for its nonce has used up neither its `jti` nor its code.
 */
import { createHash, createHmac } from 'node:crypto';
import { type Clock, minute, second } from './clock.ts';
import type { PracticeRequest } from './http.ts';
import { type Claims, verifyDpopJwt } from './jwt.ts';
import { OAuthError } from './oauth-error.ts';
import type { RandomSource } from './random.ts';
import type { Client } from './world.ts';

/** Which grant a proof is for; each has nonces of its own. */
export type NonceSpace = 'authorization_code' | 'refresh_token';

const clockTolerance = 5 * minute;
const nonceLifetime = 5 * minute;

/** Checks proofs and hands out nonces. */
export interface DpopVerifier {
  /**
   * Returns the thumbprint of the proof's key, or `undefined` when the client sent none and need not.
   * Throws {@link OAuthError} `invalid_dpop_proof` or `use_dpop_nonce`.
   */
  verify(request: PracticeRequest, client: Client, space: NonceSpace): Promise<string | undefined>;
  /** The nonce that the next proof for `space` must carry. */
  nonce(space: NonceSpace): string;
}

/** Creates the verifier; `htu` is the token endpoint as its clients address it. */
export function createDpopVerifier({
  clock,
  random,
  htu,
}: {
  clock: Clock;
  random: RandomSource;
  htu: string;
}): DpopVerifier {
  const secret = random(32);
  const usedIds = new Map<string, number>();

  const nonceAt = (space: NonceSpace, window: number) =>
    createHmac('sha256', secret).update(`${space} ${window}`).digest('base64url');
  const currentWindow = () => Math.floor(clock.now() / nonceLifetime);
  const nonce = (space: NonceSpace) => nonceAt(space, currentWindow());
  const isNonceGood = (space: NonceSpace, given: unknown) =>
    given === nonce(space) || given === nonceAt(space, currentWindow() - 1);

  function refuse(why: string): never {
    throw new OAuthError('invalid_dpop_proof', `Invalid DPoP proof: ${why}.`);
  }

  function checkTarget(claims: Claims): void {
    if (claims.htm !== 'POST') refuse('htm is not POST');
    if (claims.htu !== htu) refuse('htu is not the token endpoint');
    if (typeof claims.iat !== 'number') refuse('iat is missing');
    if (Math.abs(clock.now() - claims.iat * second) > clockTolerance) refuse('iat is too far from now');
  }

  function useOnce(id: string): void {
    const now = clock.now();
    for (const [known, forgetAt] of usedIds) {
      if (forgetAt > now) break;
      usedIds.delete(known);
    }
    if (usedIds.has(id)) refuse('jti was used before');
    usedIds.set(id, now + 2 * clockTolerance);
  }

  return {
    nonce,
    async verify(request, client, space) {
      if (client.dpop === 'off') return undefined;
      const proof = request.headers.dpop;
      if (proof === undefined) return client.dpop === 'required' ? refuse('the DPoP header is missing') : undefined;
      if (typeof proof !== 'string') refuse('more than one DPoP header');

      const { claims, thumbprint } = await verifyDpopJwt(proof, clock.now()).catch(() => refuse('not a signed proof'));
      checkTarget(claims);
      if (typeof claims.jti !== 'string' || claims.jti === '') refuse('jti is missing');
      if (client.dpopNonces === 'always' && !isNonceGood(space, claims.nonce)) {
        throw new OAuthError('use_dpop_nonce', undefined, { 'dpop-nonce': nonce(space) });
      }
      if (space === 'authorization_code') {
        const expected = createHash('sha256')
          .update(request.form.get('code') ?? '')
          .digest('base64url');
        if (claims.jti !== expected) refuse('jti is not the hash of the code');
      } else {
        useOnce(`${thumbprint} ${claims.jti}`);
      }
      return thumbprint;
    },
  };
}
