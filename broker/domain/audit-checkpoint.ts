/**
 * A checkpoint: Vault's signature under the end of a chain, so that nobody without Vault can write the chain anew. What is
 * signed is told in docs/audit.md.
 */
import { createPublicKey, verify } from 'node:crypto';
import type { ChainHead } from './audit-chain.ts';
import { canonicalJson } from './canonical-json.ts';

export interface Checkpoint extends ChainHead {
  readonly at: Date;
  /** The version of the transit key that signed. */
  readonly keyVersion: number;
  /** ECDSA on P-256 with SHA-256, R and S of 32 bytes each (RFC 7518 section 3.4), in base64url. */
  readonly signature: string;
}

/** The public half of one version of the signing key. */
export interface CheckpointKey {
  readonly version: number;
  readonly jwk: { readonly kty: 'EC'; readonly crv: 'P-256'; readonly x: string; readonly y: string };
}

/** The bytes that are signed: a JSON array in the form of RFC 8785. */
export function checkpointBytes({ chain, seq, hash, at }: Omit<Checkpoint, 'keyVersion' | 'signature'>): Buffer {
  return Buffer.from(canonicalJson(['audit-checkpoint/1', chain, seq, hash.toString('hex'), at.toISOString()]));
}

/** Whether the signature is that of the key. */
export function isSignedBy(checkpoint: Checkpoint, { jwk }: CheckpointKey): boolean {
  const key = createPublicKey({ key: { ...jwk }, format: 'jwk' });
  const signature = Buffer.from(checkpoint.signature, 'base64url');
  return verify('sha256', checkpointBytes(checkpoint), { key, dsaEncoding: 'ieee-p1363' }, signature);
}
