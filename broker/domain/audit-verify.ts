/**
 * Verifies an export, line by line and without the broker: each record's hash, the numbering, each checkpoint's signature, the
 * chain's end, and the anchor that Vault holds outside the database. Memory does not grow with the export.
 */
import { beginningFault, type FoundPrune } from './audit-beginning.ts';
import { type ChainHead, chainedHash, emptyChain, leafHash } from './audit-chain.ts';
import { type Checkpoint, type CheckpointKey, isSignedBy } from './audit-checkpoint.ts';
import { type ExportedRecord, type ExportLine, parseExportLine } from './audit-export.ts';
import { readPrune } from './audit-prune.ts';

/** What an auditor has from Vault; without it the file's own is used, and the verdict says so. */
export interface AuditorsOwn {
  readonly keys?: readonly CheckpointKey[];
  readonly anchor?: Checkpoint;
}

export type AuditFaultKind =
  | 'malformed' // a line that is none of ours, or stands where it may not
  | 'missing' // a record's number is passed over
  | 'out_of_order' // a record's number came before
  | 'content' // a record does not fit its own hash and the one before: changed, moved or put in
  | 'unknown_version' // a record that was turned into bytes in a way not known here
  | 'signature' // a checkpoint that the key did not sign
  | 'unknown_key' // a checkpoint of a key version that is not given
  | 'not_as_signed' // the chain differs from what Vault signed: written anew somewhere since the checkpoint before
  | 'beginning' // begins later than it must, without checkpoint or without a record that it was deleted by age; or earlier
  | 'cut' // ends before what was signed, or before what the database says
  | 'head' // the database's own end of the chain differs from its records
  | 'incomplete'; // the file ends too early

export interface AuditFault {
  readonly kind: AuditFaultKind;
  readonly chain: string;
  /** The first bad record; where a range was written anew, the first that can be. */
  readonly seq: number;
  /** The last record of that range. */
  readonly through: number;
  /** For people. */
  readonly what: string;
}

export interface AuditVerdict {
  readonly chain: string;
  readonly fault: AuditFault | undefined;
  /** How many records were verified, and from which to which. */
  readonly records: number;
  readonly from: number;
  readonly to: number;
  /** The record that only a part was asked for from; what is before the export's first record is not verified then. */
  readonly partFrom: number | undefined;
  /** The newest record of a prune: why the chain does not begin at 1. */
  readonly pruned: FoundPrune | undefined;
  readonly checkpoints: number;
  /** The newest record that a signature covers; 0 where none does. What is behind it only the hashes hold. */
  readonly signedTo: number;
  readonly keysFrom: 'auditor' | 'file' | 'none';
  readonly anchorFrom: 'auditor' | 'file' | 'none';
  /** The anchor's record; undefined where there is no anchor. */
  readonly anchoredTo: number | undefined;
}

/** Verifies to the first fault. */
export async function verifyExport(
  lines: AsyncIterable<string> | Iterable<string>,
  own: AuditorsOwn = {},
): Promise<AuditVerdict> {
  const keys = new Map((own.keys ?? []).map((key) => [key.version, key]));
  let anchor = own.anchor;
  let head: ChainHead | undefined;
  let chain = '';
  let from = 0;
  let records = 0;
  let checkpoints = 0;
  let signedTo = 0;
  let signedAnchor = false;
  let ended = false;
  let partFrom: number | undefined;
  let opening: Checkpoint | undefined;
  let pruned: FoundPrune | undefined;

  const verdict = (fault?: AuditFault): AuditVerdict => ({
    chain,
    fault,
    records,
    from,
    to: records > 0 ? from + records - 1 : 0,
    partFrom,
    pruned,
    checkpoints,
    signedTo,
    keysFrom: own.keys ? 'auditor' : keys.size > 0 ? 'file' : 'none',
    anchorFrom: own.anchor ? 'auditor' : anchor ? 'file' : 'none',
    anchoredTo: anchor?.seq,
  });
  const next = () => (head?.seq ?? 0) + 1;
  const fault = (kind: AuditFaultKind, what: string, seq = next(), through = seq): AuditFault => ({
    kind,
    chain,
    seq,
    through,
    what,
  });

  function checkSignature(checkpoint: Checkpoint): AuditFault | undefined {
    const key = keys.get(checkpoint.keyVersion);
    if (!key) {
      return fault('unknown_key', `no public key of version ${checkpoint.keyVersion} is given`, checkpoint.seq);
    }
    if (checkpoint.chain === chain && isSignedBy(checkpoint, key)) return undefined;
    return fault('signature', `the signature at record ${checkpoint.seq} is not the key’s`, checkpoint.seq);
  }

  function checkAgainst(signed: Checkpoint): AuditFault | undefined {
    if (head?.hash.equals(signed.hash)) return undefined;
    const first = Math.max(signedTo + 1, from, 1);
    const what = `records ${first} to ${signed.seq} are not those that Vault signed at ${signed.at.toISOString()}`;
    return fault('not_as_signed', what, first, Math.max(first, signed.seq));
  }

  function takeRecord(line: ExportedRecord): AuditFault | undefined {
    if (!head) {
      if (line.seq !== 1) {
        return fault('beginning', `begins at record ${line.seq}, and no checkpoint covers the one before`, line.seq);
      }
      head = emptyChain(chain);
    }
    const expected = head.seq + 1;
    if (line.seq > expected) {
      return fault('missing', `record ${expected} is missing: ${line.seq} comes next`, expected, line.seq - 1);
    }
    if (line.seq < expected) return fault('out_of_order', `record ${line.seq} stands behind ${head.seq}`, line.seq);
    const leaf = leafHash(line.record, line.version);
    if (!leaf)
      return fault('unknown_version', `record ${line.seq} is of a later version: use a newer broker`, line.seq);
    const hash = chainedHash(head.hash, line.seq, leaf);
    if (line.chain !== chain || !hash.equals(line.hash)) {
      return fault('content', `record ${line.seq} does not fit its hash: it was changed, moved or put in`, line.seq);
    }
    if (records === 0) from = line.seq;
    records++;
    head = { chain, seq: line.seq, hash };
    const skipped = takePrune(line);
    if (skipped) return skipped;
    return anchor?.seq === line.seq ? takeAnchor(anchor) : undefined;
  }

  function takePrune({ seq, record }: ExportedRecord): AuditFault | undefined {
    const prune = readPrune(record);
    if (!prune) return undefined;
    if (pruned && prune.from !== pruned.through + 1) {
      const what = `record ${pruned.seq} says that records up to ${pruned.through} were deleted by age, and ${seq} goes on with ${prune.from}`;
      return fault('beginning', what, seq);
    }
    pruned = { ...prune, seq, at: record.at };
    return undefined;
  }

  function takeAnchor(at: Checkpoint): AuditFault | undefined {
    const wrong = checkSignature(at) ?? checkAgainst(at);
    if (wrong) return wrong;
    signedAnchor = true;
    signedTo = Math.max(signedTo, at.seq);
    return undefined;
  }

  function takeCheckpoint(checkpoint: Checkpoint): AuditFault | undefined {
    const unsigned = checkSignature(checkpoint);
    if (unsigned) return unsigned;
    if (!head) {
      // An export that begins later begins with the checkpoint that covers the record before.
      opening = checkpoint;
      head = { chain, seq: checkpoint.seq, hash: checkpoint.hash };
      const fork = anchor?.seq === checkpoint.seq ? takeAnchor(anchor) : undefined;
      if (fork) return fork;
    }
    if (checkpoint.seq > head.seq) {
      return fault(
        'cut',
        `records ${next()} to ${checkpoint.seq} were signed and are not there`,
        next(),
        checkpoint.seq,
      );
    }
    if (checkpoint.seq < head.seq) {
      return fault('malformed', `the checkpoint at record ${checkpoint.seq} stands behind ${head.seq}`, checkpoint.seq);
    }
    const other = checkAgainst(checkpoint);
    if (other) return other;
    checkpoints++;
    signedTo = Math.max(signedTo, checkpoint.seq);
    return undefined;
  }

  function takeEnd(end: ChainHead): AuditFault | undefined {
    head ??= emptyChain(chain);
    if (anchor && !signedAnchor) {
      const forged = checkSignature(anchor);
      if (forged) return forged;
      if (anchor.seq > head.seq) {
        const what = `records ${next()} to ${anchor.seq} were signed and anchored in Vault at ${anchor.at.toISOString()}, and are not there: the end was cut off, or an old database put back`;
        return fault('cut', what, next(), anchor.seq);
      }
    }
    if (end.seq > head.seq) {
      return fault(
        'cut',
        `the database had ${end.seq} records, and ${next()} to ${end.seq} are not there`,
        next(),
        end.seq,
      );
    }
    if (end.seq < head.seq || !end.hash.equals(head.hash)) {
      return fault('head', `the database’s own end of the chain (${end.seq}) is not that of its records`, head.seq);
    }
    // Known at the end only: the record of a prune stands somewhere behind what it deleted.
    const begun = beginningFault({ opening, partFrom, pruned });
    if (begun) return fault('beginning', begun.what, begun.seq, begun.through);
    ended = true;
    return undefined;
  }

  function take(line: ExportLine): AuditFault | undefined {
    switch (line.type) {
      case 'header':
        return fault('malformed', 'a second header');
      case 'key':
        if (!own.keys) keys.set(line.key.version, line.key);
        return undefined;
      case 'anchor':
        anchor ??= line.checkpoint;
        return undefined;
      case 'record':
        return takeRecord(line);
      case 'checkpoint':
        return takeCheckpoint(line.checkpoint);
      case 'end':
        return takeEnd(line.head);
    }
  }

  let number = 0;
  for await (const text of lines) {
    if (text.trim() === '') continue;
    number++;
    const line = parseExportLine(text);
    if (!line) return verdict(fault('malformed', `line ${number} is not a line of an export`));
    if (number === 1) {
      if (line.type !== 'header') return verdict(fault('malformed', 'the first line is not the header of an export'));
      chain = line.chain;
      partFrom = line.from;
      continue;
    }
    if (ended) return verdict(fault('malformed', `line ${number} stands behind the end`));
    const found = take(line);
    if (found) return verdict(found);
  }
  return verdict(ended ? undefined : fault('incomplete', 'the file ends before the export does'));
}
