import { z } from 'zod';
import { Secret } from '../domain/secret.ts';
import { BrokerError } from '../errors.ts';
import type { TenantKeys } from '../ports.ts';
import { mostItems } from './batches.ts';
import type { VaultConnection } from './connection.ts';
import { dataKeyContext, grantContext } from './encryption-context.ts';
import { vaultName } from './name.ts';
import { createTransitBatches, isRefusedItem } from './transit-batches.ts';
import { ensureTransitKey } from './transit-key.ts';
import { asVaultError, VaultFailure, vaultFailureOf } from './vault-failure.ts';

const keyState = z.object({ soft_deleted: z.boolean().default(false) });
const batchResults = z.object({ batch_results: z.array(z.object({ error: z.string().optional() })) });
const encrypted = z.object({ ciphertext: z.string().startsWith('vault:v') });
const decrypted = z.object({ plaintext: z.base64() });
const dataKey = z.object({ plaintext: z.base64(), ciphertext: z.string().startsWith('vault:v') });

const described = z.object({
  type: z.string(),
  derived: z.boolean().default(false),
  exportable: z.boolean(),
  allow_plaintext_backup: z.boolean(),
  latest_version: z.int(),
  min_decryption_version: z.int(),
  keys: z.record(z.string(), z.unknown()),
});
/** Of a symmetric key: when each version was made, in seconds since 1970. */
const versionTimes = z.record(z.string(), z.number());
const rewrapped = z.object({
  batch_results: z.array(
    z.object({ ciphertext: z.string().startsWith('vault:v').optional(), error: z.string().optional() }),
  ),
});

/**
 * Tenants' keys in transit: `KEY/tenant-NAME`, aes256-gcm96, derived. A ciphertext opens only with the context that it
 * was made with; `decrypt` and `unwrapDataKey` throw INTERNAL for any other.
 */
export function createTenantKeys(deps: { readonly vault: VaultConnection; readonly transit: string }): TenantKeys {
  const { vault, transit } = deps;
  const keyOf = (tenant: string) => `tenant-${vaultName(tenant)}`;
  const encryptItem = createTransitBatches<{ context: string; plaintext: string }, z.infer<typeof encrypted>>({
    vault,
    result: encrypted,
  });
  const decryptItem = createTransitBatches<{ context: string; ciphertext: string }, z.infer<typeof decrypted>>({
    vault,
    result: decrypted,
  });

  async function open(tenant: string, context: string, ciphertext: string): Promise<Buffer> {
    try {
      const path = `${transit}/decrypt/${keyOf(tenant)}`;
      const { plaintext } = await decryptItem(path, { context, ciphertext });
      return Buffer.from(plaintext, 'base64');
    } catch (error) {
      if (!isRefusedItem(error)) throw error;
      throw new BrokerError('INTERNAL', {
        detail: `a ciphertext of tenant ${tenant} does not open: it was made for another place, or its key version is gone`,
        cause: vaultFailureOf(error),
      });
    }
  }

  /** An engine that is not there says 404 to everything; one that is says 400 to a ciphertext that it cannot open. */
  async function requireEngine(tenant: string): Promise<void> {
    const nonsense = { ciphertext: 'vault:v1:AAAA', context: dataKeyContext(tenant) };
    const refusal = await vault.compute(`${transit}/decrypt/${keyOf(tenant)}`, nonsense, decrypted).then(
      () => undefined,
      (error: unknown) => error,
    );
    if (vaultFailureOf(refusal)?.kind === 'bad_request') return;
    throw new BrokerError('VAULT_UNAVAILABLE', {
      detail: `${transit} does not answer as transit does`,
      cause: refusal,
    });
  }

  return {
    create: (tenant) =>
      ensureTransitKey(vault, `${transit}/keys/${keyOf(tenant)}`, { type: 'aes256-gcm96', derived: true }),

    async encrypt(context, plaintext) {
      const body = {
        context: grantContext(context),
        plaintext: Buffer.from(plaintext.reveal()).toString('base64'),
      };
      const path = `${transit}/encrypt/${keyOf(context.tenant)}`;
      try {
        return (await encryptItem(path, body)).ciphertext;
      } catch (error) {
        throw error instanceof VaultFailure ? asVaultError(error) : error;
      }
    },

    async decrypt(context, ciphertext) {
      return new Secret((await open(context.tenant, grantContext(context), ciphertext)).toString());
    },

    async presence(tenant) {
      const key = await vault.find(`${transit}/keys/${keyOf(tenant)}`, keyState);
      if (!key) {
        await requireEngine(tenant);
        return 'absent';
      }
      return key.soft_deleted ? 'soft_deleted' : 'present';
    },

    async countOpening(tenant, items) {
      let opened = 0;
      // No more at a time than Vault takes: it would refuse the whole, and nothing would have been tried.
      for (let start = 0; start < items.length; start += mostItems) {
        const batch = items.slice(start, start + mostItems).map(({ ciphertext, ...place }) => ({
          ciphertext,
          context: grantContext({ tenant, ...place }),
        }));
        try {
          // Without the last parameter one that does not open would hide others that do behind a 400.
          const body = { batch_input: batch, partial_failure_response_code: 200 };
          const answer = await vault.compute(`${transit}/decrypt/${keyOf(tenant)}`, body, batchResults);
          opened += answer.batch_results.filter(({ error }) => !error).length;
        } catch (error) {
          // A 404 would be an engine that is not there: it shows nothing about the key.
          if (vaultFailureOf(error)?.kind !== 'bad_request') throw error;
        }
      }
      return opened;
    },

    async createDataKey(tenant) {
      const path = `${transit}/datakey/plaintext/${keyOf(tenant)}`;
      const { plaintext, ciphertext } = await vault.compute(path, { context: dataKeyContext(tenant) }, dataKey);
      return { key: new Secret(Buffer.from(plaintext, 'base64')), wrapped: ciphertext };
    },

    async describe(tenant) {
      const stored = await vault.find(`${transit}/keys/${keyOf(tenant)}`, described);
      if (!stored) return { fault: 'missing' };
      const versions = versionTimes.safeParse(stored.keys);
      const isOurs = stored.type === 'aes256-gcm96' && stored.derived;
      const isOpen = stored.exportable || stored.allow_plaintext_backup;
      if (!isOurs || isOpen || !versions.success) return { fault: 'unsuitable' };
      return {
        newestVersion: stored.latest_version,
        minVersion: stored.min_decryption_version,
        versions: Object.entries(versions.data).map(([version, seconds]) => ({
          version: Number(version),
          createdAt: new Date(seconds * 1_000),
        })),
      };
    },

    async rotate(tenant) {
      await vault.write(`${transit}/keys/${keyOf(tenant)}/rotate`, {});
    },

    async rewrapBatch(tenant, ciphertexts) {
      const batch_input = ciphertexts.map(({ channel, generation, ciphertext }) => ({
        ciphertext,
        context: grantContext({ tenant, channel, generation }),
      }));
      const path = `${transit}/rewrap/${keyOf(tenant)}`;
      const options = { deadlineMs: 20_000, inTurn: true };
      const { batch_results } = await vault.compute(path, { batch_input }, rewrapped, options);
      if (batch_results.length !== ciphertexts.length) {
        throw new BrokerError('INTERNAL', { detail: `${path} answered another number of ciphertexts` });
      }
      return batch_results.map(({ ciphertext, error }) =>
        ciphertext === undefined ? { problem: error ?? 'no ciphertext' } : { ciphertext },
      );
    },

    async setMinVersion(tenant, version) {
      await vault.write(`${transit}/keys/${keyOf(tenant)}/config`, { min_decryption_version: version });
    },

    async unwrapDataKey(tenant, wrapped) {
      return new Secret(await open(tenant, dataKeyContext(tenant), wrapped));
    },
  };
}
