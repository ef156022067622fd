/**
 * How an access token lies in Redis: encrypted by AES-256-GCM under a data key of the tenant, which lies beside it
 * wrapped by the tenant's transit key.
 *
 *   version (1) │ expires at (8, ms since 1970) │ length of wrapped key (2) │ wrapped key │ iv (12) │ tag (16) │ ciphertext
 *
 * Everything before the iv, the tenant and the cache key are authenticated: whoever can write to Redis can neither
 * move a value to another key or tenant nor prolong it.
 */
import { createCipheriv, createDecipheriv } from 'node:crypto';
import type { RandomBytes } from '../domain/identifier.ts';
import { Secret } from '../domain/secret.ts';
import type { CachedToken, DataKey } from '../ports.ts';

/** Where a value lies. */
export interface Place {
  readonly tenant: string;
  readonly key: string;
}

/** A value that has been read and not yet decrypted. */
export interface TokenEnvelope {
  readonly wrappedKey: string;
  readonly expiresAt: Date;
  /** Throws where the value is not what was stored in that place. */
  open(place: Place, dataKey: Secret<Buffer>): CachedToken;
}

const version = 1;
const fixedLength = 1 + 8 + 2;
const ivLength = 12;
const tagLength = 16;

/** Encrypts a token for its place. */
export function sealToken(place: Place, token: CachedToken, { key, wrapped }: DataKey, random: RandomBytes): Buffer {
  const wrappedKey = Buffer.from(wrapped);
  const fixed = Buffer.alloc(fixedLength);
  fixed.writeUInt8(version, 0);
  fixed.writeBigUInt64BE(BigInt(token.expiresAt.getTime()), 1);
  fixed.writeUInt16BE(wrappedKey.length, 9);
  const header = Buffer.concat([fixed, wrappedKey]);
  const iv = random(ivLength);
  const cipher = createCipheriv('aes-256-gcm', key.reveal(), iv);
  cipher.setAAD(authenticated(header, place));
  const ciphertext = Buffer.concat([cipher.update(token.accessToken.reveal(), 'utf8'), cipher.final()]);
  return Buffer.concat([header, iv, cipher.getAuthTag(), ciphertext]);
}

/** Reads a stored value; undefined where it has not this form. */
export function readTokenEnvelope(value: Buffer): TokenEnvelope | undefined {
  if (value.length < fixedLength || value.readUInt8(0) !== version) return undefined;
  const headerLength = fixedLength + value.readUInt16BE(9);
  const ciphertextAt = headerLength + ivLength + tagLength;
  if (value.length < ciphertextAt) return undefined;
  const header = value.subarray(0, headerLength);
  const expiresAt = new Date(Number(value.readBigUInt64BE(1)));
  return {
    wrappedKey: header.toString('utf8', fixedLength),
    expiresAt,
    open(place, dataKey) {
      const iv = value.subarray(headerLength, headerLength + ivLength);
      const decipher = createDecipheriv('aes-256-gcm', dataKey.reveal(), iv, { authTagLength: tagLength });
      decipher.setAAD(authenticated(header, place));
      decipher.setAuthTag(value.subarray(headerLength + ivLength, ciphertextAt));
      const plaintext = Buffer.concat([decipher.update(value.subarray(ciphertextAt)), decipher.final()]);
      return { accessToken: new Secret(plaintext.toString('utf8')), expiresAt };
    },
  };
}

function authenticated(header: Buffer, { tenant, key }: Place): Buffer {
  return Buffer.concat([header, Buffer.from(JSON.stringify([tenant, key]))]);
}
