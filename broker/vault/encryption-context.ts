/**
 * The one place that writes transit's `context`, from which a derived key is computed. Two different places must never
 * give the same bytes: a JSON array keeps its parts apart whatever they contain, and its first part keeps the uses
 * apart. Ciphertexts depend on these bytes: they can never change, only a new first part can be added.
 */
import type { EncryptionContext } from '../ports.ts';

/** Base64 for a channel's refresh token: tenant, channel and generation of the consent. */
export function grantContext({ tenant, channel, generation }: EncryptionContext): string {
  if (!Number.isSafeInteger(generation)) throw new RangeError('a generation is a whole number');
  return encode(['grant', tenant, channel, generation]);
}

/** Base64 for wrapping a data key of the tenant. */
export function dataKeyContext(tenant: string): string {
  return encode(['data-key', tenant]);
}

function encode(parts: readonly (string | number)[]): string {
  return Buffer.from(JSON.stringify(parts)).toString('base64');
}
