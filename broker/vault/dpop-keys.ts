import { createPublicKey } from 'node:crypto';
import { z } from 'zod';
import { BrokerError } from '../errors.ts';
import type { DpopJwk, DpopKeys } from '../ports.ts';
import type { VaultConnection } from './connection.ts';
import { vaultName } from './name.ts';
import { createTransitBatches } from './transit-batches.ts';
import { ensureTransitKey } from './transit-key.ts';
import { asVaultError, VaultFailure } from './vault-failure.ts';

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
 *
 * A version's public half never changes, so it is read once; concurrent signatures of one version are one request.
 */
export function createDpopKeys(deps: { readonly vault: VaultConnection; readonly transit: string }): DpopKeys {
  const { vault, transit } = deps;
  const keyOf = (oauthClient: string) => `dpop-${vaultName(oauthClient)}`;
  const pathOf = (oauthClient: string) => `${transit}/keys/${keyOf(oauthClient)}`;
  const signItem = createTransitBatches<{ input: string }, z.infer<typeof signed>>({ vault, result: signed });
  /** OAuth client → public halves by version */
  const known = new Map<string, ReadonlyMap<number, DpopJwk>>();
  /** OAuth client → the read that runs */
  const reads = new Map<string, Promise<number>>();

  /** Reads all versions and remembers them; answers the newest version. */
  async function read(oauthClient: string): Promise<number> {
    const key = await vault.read(pathOf(oauthClient), versions);
    const halves = Object.entries(key.keys).map(
      ([version, { public_key }]) => [Number(version), jwkOf(public_key)] as const,
    );
    known.set(oauthClient, new Map(halves));
    return key.latest_version;
  }

  /** One read for all who ask at the same time. */
  function readOnce(oauthClient: string): Promise<number> {
    const running = reads.get(oauthClient) ?? read(oauthClient).finally(() => reads.delete(oauthClient));
    reads.set(oauthClient, running);
    return running;
  }

  function remembered(oauthClient: string, version: number): DpopJwk {
    const jwk = known.get(oauthClient)?.get(version);
    if (!jwk) throw new BrokerError('INTERNAL', { detail: `dpop key of ${oauthClient} has no version ${version}` });
    return jwk;
  }

  const keys: DpopKeys = {
    create: (oauthClient) => ensureTransitKey(vault, pathOf(oauthClient), { type: 'ecdsa-p256', derived: false }),

    async current(oauthClient) {
      // Always asked of Vault: an operator may have rotated the key a moment ago.
      const version = await read(oauthClient);
      return { version, jwk: remembered(oauthClient, version) };
    },

    async publicKey(oauthClient, version) {
      if (!known.get(oauthClient)?.has(version)) await readOnce(oauthClient);
      return remembered(oauthClient, version);
    },

    async sign(oauthClient, version, signingInput) {
      const common = {
        key_version: version,
        hash_algorithm: 'sha2-256',
        prehashed: false,
        marshaling_algorithm: 'jws',
      };
      const item = { input: Buffer.from(signingInput).toString('base64') };
      try {
        const { signature } = await signItem(`${transit}/sign/${keyOf(oauthClient)}`, item, common);
        return signature.slice(signature.lastIndexOf(':') + 1);
      } catch (error) {
        throw error instanceof VaultFailure ? asVaultError(error) : error;
      }
    },

    async rotate(oauthClient) {
      await vault.write(`${pathOf(oauthClient)}/rotate`, {});
      return (await keys.current(oauthClient)).version;
    },
  };
  return keys;
}

function jwkOf(pem: string): DpopJwk {
  return jwk.parse(createPublicKey(pem).export({ format: 'jwk' }));
}
