import { z } from 'zod';
import { Secret } from '../domain/secret.ts';
import { BrokerError } from '../errors.ts';
import type { Clock, SigningSecrets } from '../ports.ts';
import type { VaultConnection } from './connection.ts';
import { vaultFailureOf } from './vault-failure.ts';

/** One that nothing can be signed with is found here and not by each delivery: somebody may have put it in by hand. */
const signingSecret = z
  .string()
  .trim()
  .regex(/^whsec_(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{4}|[A-Za-z0-9+/]{3}=|[A-Za-z0-9+/]{2}==)$/);
const stored = z.object({
  data: z.object({ signing_secret: signingSecret }),
  metadata: z.object({ version: z.number().int().positive(), created_time: z.coerce.date() }),
});

/** So long they are remembered; other replicas notice a change after this, at the latest. */
const rememberMs = 30_000;

/** Beside the OAuth clients' secrets; no OAuth client can have this name. */
const entry = '_notifications';

/**
 * The secrets that notifications are signed with: the field `signing_secret` of `KV/data/_notifications`. The version
 * before the newest signs, too, until the newest is as old as the overlap: so long the receiver has to learn it.
 */
export function createSigningSecrets(deps: {
  readonly vault: VaultConnection;
  readonly kv: string;
  /** That Vault dates versions by. */
  readonly clock: Clock;
  readonly overlapMs: number;
}): SigningSecrets {
  const { vault, kv, clock, overlapMs } = deps;
  const path = `${kv}/data/${entry}`;
  let remembered: { readonly secrets: Promise<readonly Secret<string>[]>; readonly at: number } | undefined;

  async function read(): Promise<readonly Secret<string>[]> {
    const newest = await vault.find(path, stored);
    if (!newest) throw new BrokerError('SIGNING_SECRET_MISSING', { detail: `there is none at ${path}` });
    const { version, created_time: since } = newest.metadata;
    const overlaps = version > 1 && clock.now().getTime() < since.getTime() + overlapMs;
    const former = overlaps ? await vault.find(`${path}?version=${version - 1}`, stored) : undefined;
    return [newest, ...(former ? [former] : [])].map(({ data }) => new Secret(data.signing_secret));
  }

  return {
    current() {
      const now = clock.now().getTime();
      if (remembered && now - remembered.at < rememberMs) return remembered.secrets;
      const reading = { secrets: read(), at: now };
      remembered = reading;
      // A failure is not remembered: the next one who asks tries again.
      reading.secrets.catch(() => {
        if (remembered === reading) remembered = undefined;
      });
      return reading.secrets;
    },

    async replace(secret) {
      const newest = await vault.find(path, stored);
      const cas = newest?.metadata.version ?? 0;
      try {
        await vault.write(path, { options: { cas }, data: { signing_secret: secret.reveal() } });
      } catch (error) {
        // Check-and-set fails with 400.
        if (vaultFailureOf(error)?.kind !== 'bad_request') throw error;
        throw new BrokerError('STORE_CONFLICT', { detail: 'the signing secret was replaced', cause: error });
      } finally {
        remembered = undefined;
      }
      return newest && new Date(clock.now().getTime() + overlapMs);
    },
  };
}
