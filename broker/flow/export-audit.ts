import type { Checkpoint } from '../domain/audit-checkpoint.ts';
import type { ExportedRecord, ExportLine } from '../domain/audit-export.ts';
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
    const end = await chains.head(chain);
    if (!end) throw new BrokerError('NOT_FOUND', { detail: 'no such audit chain' });
    yield { type: 'header', chain, exportedAt: clock.now() };
    for (const key of keys) yield { type: 'key', key };
    if (anchor) yield { type: 'anchor', checkpoint: anchor.checkpoint };
    for await (const line of chains.read(chain, from)) {
      if (line.seq > end.seq) break;
      yield isRecord(line) ? line : { type: 'checkpoint', checkpoint: line };
    }
    yield { type: 'end', head: end };
  };
}

function isRecord(line: Checkpoint | ExportedRecord): line is ExportedRecord {
  return 'record' in line;
}
