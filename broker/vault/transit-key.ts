import { z } from 'zod';
import { BrokerError } from '../errors.ts';
import type { VaultConnection } from './connection.ts';

/** What a transit key must be for its whole life; Vault changes none of these once set. */
export interface TransitKeyProperties {
  readonly type: 'aes256-gcm96' | 'ecdsa-p256';
  readonly derived: boolean;
}

const storedProperties = z.object({
  type: z.string(),
  derived: z.boolean().default(false),
  exportable: z.boolean(),
  allow_plaintext_backup: z.boolean(),
});

/**
 * Creates a key that never leaves Vault (`POST transit/keys/NAME`), or checks that the one there is such a key: Vault
 * ignores the context of a key that is not derived, and would encrypt without the binding. Deletion stays off, as it
 * is by default. Throws INTERNAL where another kind of key has the name.
 */
export async function ensureTransitKey(
  vault: VaultConnection,
  path: string,
  { type, derived }: TransitKeyProperties,
): Promise<void> {
  const stored = await vault.find(path, storedProperties);
  if (!stored) {
    // Vault leaves a key that is already there as it is: two brokers may do this at the same time.
    await vault.write(path, { type, derived, exportable: false, allow_plaintext_backup: false });
    return;
  }
  if (stored.type !== type || stored.derived !== derived || stored.exportable || stored.allow_plaintext_backup) {
    throw new BrokerError('INTERNAL', { detail: `${path} is there but is not the kind of key that it must be` });
  }
}
