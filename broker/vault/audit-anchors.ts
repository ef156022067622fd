import { z } from 'zod';
import { installationChain } from '../domain/audit-chain.ts';
import { checkpointJson, parseCheckpoint } from '../domain/audit-export.ts';
import { BrokerError } from '../errors.ts';
import type { AuditAnchors } from '../ports.ts';
import type { VaultConnection } from './connection.ts';
import { vaultName } from './name.ts';
import { vaultFailureOf } from './vault-failure.ts';

const stored = z.object({
  data: z.record(z.string(), z.unknown()),
  metadata: z.object({ version: z.number().int().positive() }),
});

/** Anchors in a KV v2 engine of their own: `ANCHORS/data/TENANT`, and `ANCHORS/data/_installation`, which is no tenant's name. */
export function createAuditAnchors(deps: { readonly vault: VaultConnection; readonly anchors: string }): AuditAnchors {
  const { vault, anchors } = deps;
  const pathOf = (chain: string) =>
    `${anchors}/data/${chain === installationChain ? '_installation' : vaultName(chain)}`;

  return {
    async find(chain) {
      const entry = await vault.find(pathOf(chain), stored);
      if (!entry) return undefined;
      const checkpoint = parseCheckpoint(entry.data);
      if (!checkpoint) throw new BrokerError('INTERNAL', { detail: `${pathOf(chain)} holds no anchor` });
      return { checkpoint, version: entry.metadata.version };
    },

    async put(checkpoint, version) {
      try {
        await vault.write(pathOf(checkpoint.chain), { options: { cas: version }, data: checkpointJson(checkpoint) });
      } catch (error) {
        if (vaultFailureOf(error)?.kind !== 'bad_request') throw error;
        throw new BrokerError('STORE_CONFLICT', { detail: 'another broker wrote the anchor', cause: error });
      }
    },
  };
}
