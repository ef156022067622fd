/**
 * The spool of audit records in a directory: files of lines (audit-segment.ts), drained and removed in the order of
 * their names. A file is drained again from its beginning after a crash, so whoever writes the records must tell by their
 * content which are written already.
 *
 * What another process has left there is taken over when the spool is opened. Is that process alive, no harm is done:
 * it goes on in a new file.
 */
import { appendFile, mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { AuditRecord } from '../domain/audit-record.ts';
import type { RandomBytes } from '../domain/identifier.ts';
import { BrokerError } from '../errors.ts';
import type { AuditSpool, Clock } from '../ports.ts';
import { type AuditSegment, createAuditSegment, readAuditSegment, toLine } from './audit-segment.ts';

export interface AuditSpoolLog {
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

interface Waiting {
  readonly path: string;
  readonly since: Date;
  bytes: number;
  records: number;
}

interface Draining {
  readonly from: Waiting;
  records: readonly AuditRecord[];
}

const ending = '.jsonl';
const asideName = 'refused.txt';
const largestSegment = 4 * 2 ** 20;
const mostTakeovers = 3;

/** Throws where the directory can neither be made nor read. `mostBytes` bounds what waits. */
export async function openAuditSpool(deps: {
  readonly directory: string;
  readonly mostBytes: number;
  readonly clock: Clock;
  readonly random: RandomBytes;
  readonly log: AuditSpoolLog;
}): Promise<AuditSpool> {
  const { directory, mostBytes, clock, random, log } = deps;
  const id = random(8).toString('hex');
  let made = 0;
  /** In order; the last one may be the one that is open. */
  const waiting: Waiting[] = [];
  let current: { readonly segment: AuditSegment; readonly entry: Waiting } | undefined;
  let draining: Draining | undefined;
  /** Appends and changes of the open file, one after the other. */
  let turn: Promise<unknown> = Promise.resolve();
  let pending = 0;

  await mkdir(directory, { recursive: true, mode: 0o700 });
  for (const name of (await readdir(directory)).filter((one) => one.endsWith(ending)).sort()) await takeOver(name);
  if (waiting.length > 0) log.warn({ directory, records: total('records') }, 'audit records wait in the spool');

  function inTurn<T>(step: () => Promise<T>): Promise<T> {
    const result = turn.then(step);
    turn = result.catch(() => {});
    return result;
  }

  function total(what: 'bytes' | 'records'): number {
    return waiting.reduce((sum, entry) => sum + entry[what], 0);
  }

  async function takeOver(name: string): Promise<void> {
    const path = join(directory, `${name.split('.')[0]}.${id}${ending}`);
    try {
      await rename(join(directory, name), path);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
      throw error;
    }
    const read = await readAuditSegment(path);
    const since = new Date(Number.parseInt(name, 10) || clock.now().getTime());
    if (read) waiting.push({ path, since, bytes: (await stat(path)).size, records: read.records.length });
  }

  async function write(text: string, count: number): Promise<void> {
    if (total('bytes') + Buffer.byteLength(text) > mostBytes) throw new Error('the spool is full');
    for (let takeovers = 0; takeovers < mostTakeovers; takeovers += 1) {
      if (current && current.segment.size() >= largestSegment) await closeCurrent();
      current ??= await begin();
      const { segment, entry } = current;
      let kept: boolean;
      try {
        kept = await segment.append(text);
      } catch (error) {
        // It may end with half a line: nothing goes behind that.
        await closeCurrent();
        throw error;
      }
      entry.bytes = segment.size();
      if (kept) {
        entry.records += count;
        return;
      }
      await closeCurrent();
    }
    throw new Error('others take every file of the spool over');
  }

  async function begin() {
    const now = clock.now();
    made += 1;
    const name = `${String(now.getTime()).padStart(15, '0')}-${id}-${String(made).padStart(8, '0')}${ending}`;
    const segment = await createAuditSegment(join(directory, name));
    await syncDirectory(directory);
    const entry: Waiting = { path: segment.path, since: now, bytes: 0, records: 0 };
    waiting.push(entry);
    return { segment, entry };
  }

  async function closeCurrent(): Promise<void> {
    const closing = current?.segment;
    current = undefined;
    await closing?.close();
  }

  /** Reads the oldest file; it is closed first, where it is the one that is written. */
  async function nextFile(): Promise<Draining | undefined> {
    for (let oldest = waiting[0]; oldest; oldest = waiting[0]) {
      if (oldest === current?.entry) await closeCurrent();
      const read = await readAuditSegment(oldest.path);
      if (read && read.unreadable.length > 0) {
        log.error({ file: oldest.path, lines: read.unreadable.length }, 'lines of the audit spool cannot be read');
        await keepAside(read.unreadable);
      }
      if (read && read.records.length > 0) return { from: oldest, records: read.records };
      await remove(oldest);
    }
    return undefined;
  }

  async function remove(entry: Waiting): Promise<void> {
    await rm(entry.path, { force: true });
    waiting.splice(waiting.indexOf(entry), 1);
  }

  async function keepAside(lines: readonly string[]): Promise<void> {
    if (lines.length === 0) return;
    await appendFile(join(directory, asideName), `${lines.join('\n')}\n`, { mode: 0o600, flush: true });
  }

  return {
    async append(records) {
      pending += 1;
      try {
        await inTurn(() => write(records.map(toLine).join(''), records.length));
      } catch (cause) {
        throw new BrokerError('AUDIT_UNAVAILABLE', { detail: 'the spool of audit records cannot be written', cause });
      } finally {
        pending -= 1;
      }
    },

    isEmpty: () => waiting.length === 0 && pending === 0,

    async next(most) {
      draining ??= await inTurn(nextFile);
      const now = draining;
      if (!now) return undefined;
      const records = now.records.slice(0, most);
      return {
        records,
        async done(refused) {
          await keepAside(refused.map((record) => toLine(record).trimEnd()));
          now.records = now.records.slice(records.length);
          now.from.records = now.records.length;
          if (now.records.length > 0) return;
          await inTurn(() => remove(now.from));
          draining = undefined;
        },
      };
    },

    waiting: () => ({ records: total('records'), since: waiting[0]?.since }),
    close: () => inTurn(closeCurrent),
  };
}

/** After which a new name in it survives a loss of power. */
async function syncDirectory(directory: string): Promise<void> {
  const folder = await open(directory, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}
