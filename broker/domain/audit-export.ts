/**
 * The lines of an export, one chain in a file: JSON Lines, told field by field in docs/audit.md. First a header, the public
 * keys and the anchor; then records and checkpoints by `seq`; last what the database holds for the chain's end.
 */
import type { ChainHead } from './audit-chain.ts';
import type { Checkpoint, CheckpointKey } from './audit-checkpoint.ts';
import type { AuditRecord } from './audit-record.ts';

export type ExportLine =
  | {
      readonly type: 'header';
      readonly chain: string;
      readonly exportedAt: Date;
      /** Where only a part was asked for: from this record on. */
      readonly from?: number;
    }
  | { readonly type: 'key'; readonly key: CheckpointKey }
  | { readonly type: 'anchor'; readonly checkpoint: Checkpoint }
  | { readonly type: 'checkpoint'; readonly checkpoint: Checkpoint }
  | ExportedRecord
  | { readonly type: 'end'; readonly head: ChainHead };

export interface ExportedRecord {
  readonly type: 'record';
  readonly chain: string;
  readonly seq: number;
  readonly version: number;
  readonly hash: Buffer;
  readonly record: AuditRecord;
}

/** A line, without the line break. */
export function exportLine(line: ExportLine): string {
  return JSON.stringify(toJson(line));
}

function toJson(line: ExportLine): object {
  switch (line.type) {
    case 'header':
      return {
        type: line.type,
        format: 'audit-export/1',
        chain: line.chain,
        exportedAt: line.exportedAt,
        from: line.from,
      };
    case 'key':
      return { type: line.type, ...line.key };
    case 'anchor':
    case 'checkpoint':
      return { type: line.type, ...line.checkpoint, hash: line.checkpoint.hash.toString('hex') };
    case 'record': {
      const { type, chain, seq, version, hash, record } = line;
      return { type, chain, seq, version, hash: hash.toString('hex'), ...record };
    }
    case 'end':
      return { type: line.type, ...line.head, hash: line.head.hash.toString('hex') };
  }
}

/** Reads a line; undefined where it is none of these, or has fields that it should not have. */
export function parseExportLine(text: string): ExportLine | undefined {
  try {
    const fields = fieldsOf(JSON.parse(text));
    const line = read(fields);
    fields.end();
    return line;
  } catch {
    return undefined;
  }
}

function read(fields: Fields): ExportLine {
  const type = fields.text('type');
  switch (type) {
    case 'header': {
      if (fields.text('format') !== 'audit-export/1') throw new TypeError('another format');
      const from = fields.maybeCount('from');
      const header = { type, chain: fields.text('chain'), exportedAt: fields.instant('exportedAt') } as const;
      return from === undefined ? header : { ...header, from };
    }
    case 'key':
      return { type, key: readKey(fields) };
    case 'anchor':
    case 'checkpoint':
      return { type, checkpoint: readCheckpoint(fields) };
    case 'record':
      return readRecord(type, fields);
    case 'end':
      return { type, head: { chain: fields.text('chain'), seq: fields.count('seq'), hash: fields.hash('hash') } };
    default:
      throw new TypeError('another type');
  }
}

function readKey(fields: Fields): CheckpointKey {
  const jwk = fieldsOf(fields.object('jwk'));
  const [x, y] = [jwk.text('x'), jwk.text('y')];
  if (jwk.text('kty') !== 'EC' || jwk.text('crv') !== 'P-256') throw new TypeError('another kind of key');
  jwk.end();
  return { version: fields.count('version'), jwk: { kty: 'EC', crv: 'P-256', x, y } };
}

function readCheckpoint(fields: Fields): Checkpoint {
  return {
    chain: fields.text('chain'),
    seq: fields.count('seq'),
    hash: fields.hash('hash'),
    at: fields.instant('at'),
    keyVersion: fields.count('keyVersion'),
    signature: fields.text('signature'),
  };
}

function readRecord(type: 'record', fields: Fields): ExportedRecord {
  return {
    type,
    chain: fields.text('chain'),
    seq: fields.count('seq'),
    version: fields.count('version'),
    hash: fields.hash('hash'),
    record: {
      at: fields.instant('at'),
      // Whatever words stand here are hashed as they are: those that no broker would write make the hash another.
      action: fields.text('action') as AuditRecord['action'],
      result: fields.text('result') as AuditRecord['result'],
      callerKind: fields.text('callerKind') as AuditRecord['callerKind'],
      caller: fields.text('caller'),
      ip: fields.maybeText('ip'),
      requestId: fields.text('requestId'),
      tenant: fields.maybeText('tenant'),
      channel: fields.maybeText('channel'),
      facts: fields.object('facts') as AuditRecord['facts'],
    },
  };
}

/** Reads what was kept of a checkpoint, as JSON; undefined where it is none. */
export function parseCheckpoint(stored: unknown): Checkpoint | undefined {
  try {
    return readCheckpoint(fieldsOf(stored));
  } catch {
    return undefined;
  }
}

/** A checkpoint as JSON, in which form it is kept. */
export function checkpointJson({ chain, seq, hash, at, keyVersion, signature }: Checkpoint): Record<string, unknown> {
  return { chain, seq, hash: hash.toString('hex'), at: at.toISOString(), keyVersion, signature };
}

type Fields = ReturnType<typeof fieldsOf>;

/** Reads the fields of one JSON object, each of its kind; throws where one is not. */
function fieldsOf(value: unknown) {
  const members = new Map(Object.entries(objectOf(value)));
  const take = (name: string): unknown => {
    const member = members.get(name);
    members.delete(name);
    return member;
  };
  const text = (name: string): string => {
    const member = take(name);
    if (typeof member !== 'string') throw new TypeError(`${name} is not a text`);
    return member;
  };
  const count = (name: string): number => {
    const member = take(name);
    if (!Number.isSafeInteger(member) || Number(member) < 0) throw new TypeError(`${name} is no count`);
    return Number(member);
  };

  return {
    text,
    maybeText: (name: string): string | undefined => (members.has(name) ? text(name) : undefined),
    object: (name: string): object => objectOf(take(name)),

    count,
    maybeCount: (name: string): number | undefined => (members.has(name) ? count(name) : undefined),

    instant(name: string): Date {
      const written = text(name);
      const instant = new Date(written);
      if (instant.toISOString() !== written) throw new TypeError(`${name} is not in UTC with milliseconds`);
      return instant;
    },

    hash(name: string): Buffer {
      const hex = text(name);
      if (!/^[0-9a-f]{64}$/.test(hex)) throw new TypeError(`${name} is not a SHA-256`);
      return Buffer.from(hex, 'hex');
    },

    /** Refuses what nobody asked for: an export has nothing that is not verified. */
    end(): void {
      const [odd] = members.keys();
      if (odd !== undefined) throw new TypeError(`${odd} does not belong here`);
    },
  };
}

function objectOf(value: unknown): object {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new TypeError('not an object');
  return value;
}
