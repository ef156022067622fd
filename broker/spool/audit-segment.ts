/**
 * A file of the audit spool: one record as JSON in each line, appended and synced to disk in groups.
 *
 * Whoever finds a file may take it over by giving it another name. Its writer looks for the name after each sync: is it
 * gone, the group does not count as written there and goes into a file of its own. So a group that was answered for is
 * read by whoever has taken the file over (it was on disk before the name changed), and no lock is needed that a dead
 * process would leave behind.
 */
import { type FileHandle, open, readFile, stat } from 'node:fs/promises';
import * as z from 'zod';
import type { AuditRecord } from '../domain/audit-record.ts';

/** A file that is open for appending. */
export interface AuditSegment {
  readonly path: string;
  /** Bytes that were written and synced. */
  size(): number;
  /** Answers whether the text is on disk under this segment's name; throws where it could not be written, and is cut off again. */
  append(text: string): Promise<boolean>;
  close(): Promise<void>;
}

/** Makes the file, for its owner only. */
export async function createAuditSegment(path: string): Promise<AuditSegment> {
  const file = await open(path, 'wx', 0o600);
  let size = 0;
  return {
    path,
    size: () => size,
    async append(text) {
      try {
        await file.appendFile(text);
        await file.datasync();
      } catch (error) {
        await file.truncate(size).catch(() => {});
        throw error;
      }
      size += Buffer.byteLength(text);
      return isStillAt(file, path);
    },
    close: () => file.close(),
  };
}

async function isStillAt(file: FileHandle, path: string): Promise<boolean> {
  const [ours, there] = await Promise.all([file.stat(), stat(path).catch(() => undefined)]);
  return ours.ino === there?.ino && ours.dev === there.dev;
}

const line = z.looseObject({
  at: z.iso.datetime().transform((text) => new Date(text)),
  action: z.string(),
  result: z.string(),
  callerKind: z.string(),
  caller: z.string(),
  ip: z.string().optional(),
  requestId: z.string(),
  tenant: z.string().optional(),
  channel: z.string().optional(),
  facts: z.record(z.string(), z.unknown()),
});

export function toLine(record: AuditRecord): string {
  return `${JSON.stringify(record)}\n`;
}

/**
 * Reads a file; undefined where it is gone, which means that another process sees to it. A last line without its end
 * was being written when its process died: nobody was told that it is on record, and it is left out.
 */
export async function readAuditSegment(
  path: string,
): Promise<{ readonly records: readonly AuditRecord[]; readonly unreadable: readonly string[] } | undefined> {
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
  if (text === undefined) return undefined;
  const records: AuditRecord[] = [];
  const unreadable: string[] = [];
  for (const one of text.split('\n').slice(0, -1)) {
    const record = toRecord(one);
    if (record) records.push(record);
    else unreadable.push(one);
  }
  return { records, unreadable };
}

function toRecord(text: string): AuditRecord | undefined {
  try {
    const { ip, tenant, channel, ...rest } = line.parse(JSON.parse(text));
    // This program has written it; the schema is against damage.
    return { ...rest, ip, tenant, channel } as unknown as AuditRecord;
  } catch {
    return undefined;
  }
}
