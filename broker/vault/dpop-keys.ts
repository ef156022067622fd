import { createPublicKey } from 'node:crypto';
import { z } from 'zod';
import { BrokerError } from '../errors.ts';
import type { DpopJwk, DpopKeys } from '../ports.ts';
import type { VaultConnection } from './connection.ts';
import { vaultName } from './name.ts';
import { ensureTransitKey } from './transit-key.ts';

const versions = z.object({
  latest_version: z.number().int().positive(),
  keys: z.record(z.string(), z.object({ public_key: z.string() })),
});
const signed = z.object({ signature: z.string().regex(/^vault:v\d+:[\w-]{86}$/) });
const jwk = z.object({ kty: z.literal('EC'), crv: z.literal('P-256'), x: z.string(), y: z.string() });

/**
 * DPoP keys in transit: `KEY/dpop-CLIENT`, ecdsa-p256. A refresh token is bound to the version that its code was
 * redeemed with (RFC 9449 section 5): versions are signed with by number and must never be trimmed while a grant
 * names them.
 */
export function createDpopKeys(deps: { readonly vault: VaultConnection; readonly transit: string }): DpopKeys {
  const { vault, transit } = deps;
  const keyOf = (oauthClient: string) => `dpop-${vaultName(oauthClient)}`;
  const pathOf = (oauthClient: string) => `${transit}/keys/${keyOf(oauthClient)}`;

  return {
    create: (oauthClient) => ensureTransitKey(vault, pathOf(oauthClient), { type: 'ecdsa-p256', derived: false }),

    async current(oauthClient) {
      const key = await vault.read(pathOf(oauthClient), versions);
      return { version: key.latest_version, jwk: jwkOf(key, oauthClient, key.latest_version) };
    },

    async publicKey(oauthClient, version) {
      return jwkOf(await vault.read(pathOf(oauthClient), versions), oauthClient, version);
    },

    async sign(oauthClient, version, signingInput) {
      const body = {
        input: Buffer.from(signingInput).toString('base64'),
        key_version: version,
        hash_algorithm: 'sha2-256',
        prehashed: false,
        marshaling_algorithm: 'jws',
      };
      const { signature } = await vault.compute(`${transit}/sign/${keyOf(oauthClient)}`, body, signed);
      return signature.slice(signature.lastIndexOf(':') + 1);
    },
  };
}

function jwkOf(key: z.infer<typeof versions>, oauthClient: string, version: number): DpopJwk {
  const pem = key.keys[version]?.public_key;
  if (!pem) throw new BrokerError('INTERNAL', { detail: `dpop key of ${oauthClient} has no version ${version}` });
  return jwk.parse(createPublicKey(pem).export({ format: 'jwk' }));
}
