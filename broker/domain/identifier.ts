/** Ids, link secrets and their hashes. Randomness is an argument. */
import { createHash } from 'node:crypto';
import { Secret } from './secret.ts';

/** Answers `size` random bytes from a cryptographic source. */
export type RandomBytes = (size: number) => Buffer;

const digits = '0123456789abcdefghjkmnpqrstvwxyz';

/** A new id of 128 random bits: `ch_` (channel), `co_` (consent) or `sh_` (shred) and 26 characters of Crockford base32. */
export function newId(prefix: 'ch' | 'co' | 'sh', random: RandomBytes): string {
  return `${prefix}_${crockford(random(16))}`;
}

/** 16 bytes as 26 characters of Crockford base32, in small letters. */
export function crockford(bytes: Buffer): string {
  let bits = BigInt(`0x${bytes.toString('hex')}`);
  let text = '';
  for (let position = 0; position < 26; position += 1) {
    text = (digits[Number(bits & 31n)] ?? '') + text;
    bits >>= 5n;
  }
  return text;
}

/** Tells whether a text can be a channel's id: nothing else is looked up. */
export function isChannelId(text: string): boolean {
  return /^ch_[0-7][0-9a-hjkmnp-tv-z]{25}$/.test(text);
}

/** A secret that cannot be guessed: 256 random bits in base64url (43 characters). Fits RFC 7636 §4.1 as a verifier. */
export function newSecret(random: RandomBytes): Secret<string> {
  return new Secret(random(32).toString('base64url'));
}

/** Base64url SHA-256 of a secret of high entropy: what is stored instead of it. */
export function hashSecret(secret: Secret<string>): string {
  return createHash('sha256').update(secret.reveal()).digest('base64url');
}

/** How Google names a refresh token in security events; what is stored to find it by. Neither tells the token. */
export interface TokenNames {
  readonly refreshTokenHash: string;
  readonly refreshTokenPrefixHash: string;
}

export function tokenNames(token: Secret<string>): TokenNames {
  return {
    refreshTokenHash: refreshTokenHash(token),
    refreshTokenPrefixHash: tokenPrefixHash(token.reveal().slice(0, namedPrefixLength)),
  };
}

/** So much of a token is its prefix in security events. */
export const namedPrefixLength = 16;

/** Base64url SHA-256 of a refresh token's first 16 characters: a part of a token in clear is not kept either. */
export function tokenPrefixHash(prefix: string): string {
  return createHash('sha256').update(prefix).digest('base64url');
}

/** Base64 of SHA-512 of SHA-512: how Google names a refresh token in security events (`hash_base64_sha512_sha512`). */
export function refreshTokenHash(token: Secret<string>): string {
  const once = createHash('sha512').update(token.reveal()).digest();
  return createHash('sha512').update(once).digest('base64');
}

/** Names of tenants, OAuth clients and regions: they become part of Vault paths, so nothing else is let through. */
export const namePattern = /^[a-z](?:[a-z0-9-]{0,38}[a-z0-9])?$/;
