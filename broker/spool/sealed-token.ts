/**
 * How a refresh token lies in the spool: a JSON object with the tenant, the channel and the data key (wrapped by the
 * tenant's transit key) in clear, and everything else under AES-256-GCM with that data key. What is in clear is
 * authenticated: a file cannot be made another tenant's or another channel's. Where the tenant's key is destroyed,
 * nothing here opens any more.
 */
import { createCipheriv, createDecipheriv } from 'node:crypto';
import * as z from 'zod';
import type { AuditRecord } from '../domain/audit-record.ts';
import type { RandomBytes } from '../domain/identifier.ts';
import { Secret } from '../domain/secret.ts';
import type { DataKey, SpooledToken } from '../ports.ts';

const ivLength = 12;
const tagLength = 16;

const sealed = z.object({
  version: z.literal(1),
  tenant: z.string(),
  channel: z.string(),
  wrappedKey: z.string(),
  iv: z.base64(),
  tag: z.base64(),
  ciphertext: z.base64(),
});

/** A file of the spool as it is read. */
export type SealedToken = z.output<typeof sealed>;

const instant = z.iso.datetime().transform((text) => new Date(text));
const received = {
  generation: z.int().positive(),
  refreshToken: z.string().min(1),
  refreshTokenExpiresAt: instant.optional(),
  receivedAt: instant,
  record: z.looseObject({ at: instant }),
};
const content = z.discriminatedUnion('kind', [
  z.object({
    kind: z.literal('consented'),
    consentId: z.string(),
    dpopKeyVersion: z.int().positive().optional(),
    scopes: z.array(z.string()),
    ...received,
  }),
  z.object({ kind: z.literal('rotated'), formerTokenHash: z.string(), ...received }),
]);

/** Encrypts a token; answers the text of its file. */
export function sealToken(token: SpooledToken, { key, wrapped }: DataKey, random: RandomBytes): string {
  const { tenant, channel, refreshToken, ...rest } = token;
  const clear = { version: 1, tenant, channel, wrappedKey: wrapped } as const;
  const iv = random(ivLength);
  const cipher = createCipheriv('aes-256-gcm', key.reveal(), iv);
  cipher.setAAD(authenticated(clear));
  const plaintext = JSON.stringify({ ...rest, refreshToken: refreshToken.reveal() });
  const ciphertext = Buffer.concat([cipher.update(plaintext, 'utf8'), cipher.final()]);
  const base64 = { iv: iv.toString('base64'), tag: cipher.getAuthTag().toString('base64') };
  return JSON.stringify({ ...clear, ...base64, ciphertext: ciphertext.toString('base64') });
}

/** Reads the text of a file; undefined where it has not this form. */
export function readSealedToken(text: string): SealedToken | undefined {
  try {
    return sealed.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined;
  }
}

/** Throws where the file is not what was kept. */
export function openToken(file: SealedToken, key: Secret<Buffer>): SpooledToken {
  const decipher = createDecipheriv('aes-256-gcm', key.reveal(), Buffer.from(file.iv, 'base64'), {
    authTagLength: tagLength,
  });
  decipher.setAAD(authenticated(file));
  decipher.setAuthTag(Buffer.from(file.tag, 'base64'));
  const plaintext = Buffer.concat([decipher.update(Buffer.from(file.ciphertext, 'base64')), decipher.final()]);
  const { refreshToken, record, ...rest } = content.parse(JSON.parse(plaintext.toString('utf8')));
  const place = { tenant: file.tenant, channel: file.channel };
  // It was one when it was sealed, and nobody else has had it since.
  const written = record as unknown as AuditRecord;
  const token = { ...rest, ...place, refreshToken: new Secret(refreshToken), record: written };
  return token.kind === 'consented' ? { ...token, dpopKeyVersion: token.dpopKeyVersion } : token;
}

function authenticated({ version, tenant, channel, wrappedKey }: Omit<SealedToken, 'iv' | 'tag' | 'ciphertext'>) {
  return Buffer.from(JSON.stringify(['refresh-token', version, tenant, channel, wrappedKey]));
}
