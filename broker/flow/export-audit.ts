import type { ExportLine } from '../domain/audit-export.ts';
import { BrokerError } from '../errors.ts';
import type { AuditAnchors, AuditChains, CheckpointSigner, Clock } from '../ports.ts';

/**
 * The lines of an export of a chain, whole or from a record on; whoever calls it has asked whether the caller may. Keys and
 * anchor are read first: an anchor that is newer than the export would look like a chain that was cut.
 */
export function createExportAudit(deps: {
  chains: AuditChains;
  signer: CheckpointSigner;
  anchors: AuditAnchors;
  clock: Clock;
}) {
  const { chains, signer, anchors, clock } = deps;

  return async function* exportAudit(chain: string, from?: number): AsyncGenerator<ExportLine> {
    const keys = await signer.keys();
    const anchor = await anchors.find(chain);
    if (!(await chains.head(chain))) throw new BrokerError('NOT_FOUND', { detail: 'no such audit chain' });
    yield { type: 'header', chain, exportedAt: clock.now(), ...(from !== undefined && { from }) };
    for (const key of keys) yield { type: 'key', key };
    if (anchor) yield { type: 'anchor', checkpoint: anchor.checkpoint };
    yield* chains.read(chain, from);
  };
}
