import { createPublicKey } from 'node:crypto';
import { z } from 'zod';
import { checkpointBytes } from '../domain/audit-checkpoint.ts';
import type { CheckpointSigner } from '../ports.ts';
import type { VaultConnection } from './connection.ts';

/** The name of the key in transit; made by the bootstrap, because the broker must not be able to make it anew. */
export const checkpointKey = 'audit-checkpoint';

const versions = z.object({ keys: z.record(z.string(), z.object({ public_key: z.string() })) });
const signed = z.object({ signature: z.string().regex(/^vault:v\d+:[\w-]{86}$/) });
const jwk = z.object({ kty: z.literal('EC'), crv: z.literal('P-256'), x: z.string(), y: z.string() });

/** Signs checkpoints with `KEY/audit-checkpoint`, ecdsa-p256, always with its newest version. */
export function createCheckpointSigner(deps: {
  readonly vault: VaultConnection;
  readonly transit: string;
}): CheckpointSigner {
  const { vault, transit } = deps;

  return {
    async sign(unsigned) {
      const body = {
        input: checkpointBytes(unsigned).toString('base64'),
        hash_algorithm: 'sha2-256',
        prehashed: false,
        marshaling_algorithm: 'jws',
      };
      const answer = await vault.compute(`${transit}/sign/${checkpointKey}`, body, signed);
      const [, version, signature] = answer.signature.split(':');
      return { ...unsigned, keyVersion: Number(version?.slice(1)), signature: signature ?? '' };
    },

    async keys() {
      const { keys } = await vault.read(`${transit}/keys/${checkpointKey}`, versions);
      return Object.entries(keys).map(([version, { public_key }]) => ({
        version: Number(version),
        jwk: jwk.parse(createPublicKey(public_key).export({ format: 'jwk' })),
      }));
    },
  };
}
