import { generateKeyPairSync } from 'node:crypto';
import { type ExportLine, exportLine } from '../../broker/domain/audit-export.ts';
import { type AuditorsOwn, type AuditVerdict, verifyExport } from '../../broker/domain/audit-verify.ts';
import { type AuditCheckpointerDeps, createAuditCheckpointer } from '../../broker/flow/checkpoint-audit.ts';
import { createExportAudit } from '../../broker/flow/export-audit.ts';
import type { Store } from '../../broker/ports.ts';
import { createAuditAnchors } from '../../broker/vault/audit-anchors.ts';
import { createCheckpointSigner } from '../../broker/vault/audit-checkpoints.ts';
import { atEnd, type Scope } from './scope.ts';
import { useStore } from './store.ts';
import type { SetUpVault } from './vault-set-up.ts';

const clock = { now: () => new Date() };

/** A store with its chains signed and anchored by a real Vault, as the broker does it, and exports of them. */
export async function useAuditedStore(scope: Scope, vault: SetUpVault, given: Partial<AuditCheckpointerDeps> = {}) {
  const opened = await useStore(scope);
  return { ...opened, ...(await auditOf(scope, vault, opened.store, given)) };
}

/** Signs, anchors and exports the chains of a store. */
export async function auditOf(
  scope: Scope,
  vault: SetUpVault,
  store: Store,
  given: Partial<AuditCheckpointerDeps> = {},
) {
  const { transit, anchors: mount } = vault.layout.mounts;
  const broker = await vault.asBroker();
  const signer = createCheckpointSigner({ vault: broker, transit });
  const anchors = createAuditAnchors({ vault: broker, anchors: mount });
  const faults: unknown[] = [];
  const broken: object[] = [];
  const checkpointer = createAuditCheckpointer({
    chains: store.auditChains,
    signer,
    anchors,
    clock,
    afterRecords: 1,
    afterMs: 60_000,
    onChain: () => {},
    onBroken: (found) => broken.push(found),
    onFault: (fault) => faults.push(fault),
    sleep: async () => {},
    ...given,
  });
  atEnd(scope, () => checkpointer.stop());
  const exported = createExportAudit({ chains: store.auditChains, signer, anchors, clock });
  const linesOf = async (chain: string, from?: number): Promise<string[]> => {
    const lines: string[] = [];
    for await (const line of exported(chain, from)) lines.push(exportLine(line));
    return lines;
  };
  return {
    signer,
    anchors,
    checkpointer,
    faults,
    broken,
    linesOf,
    verify: async (chain: string, own?: AuditorsOwn): Promise<AuditVerdict> => verifyExport(await linesOf(chain), own),
  };
}

/** A public key that Vault does not know. */
export function strangersKey(version = 1): Extract<ExportLine, { type: 'key' }>['key'] {
  const { x = '', y = '' } = generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({ format: 'jwk' });
  return { version, jwk: { kty: 'EC', crv: 'P-256', x, y } };
}
