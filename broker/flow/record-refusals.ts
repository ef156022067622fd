/**
 * Puts refusals on record that anybody can cause, without letting a stranger fill the record: the first of a source and
 * kind at once, the others of the same minute together, as one record with their count. A source is an IPv4 address, or
 * the /64 of an IPv6 address; when there are very many, the rest count as one.
 */
import { isIPv6 } from 'node:net';
import type { AuditRecord } from '../domain/audit-record.ts';
import type { Clock, Store } from '../ports.ts';

const windowMs = 60_000;
const sourcesAtOnce = 1_000;
const detailsAtMost = 5;

interface Window {
  readonly since: Date;
  /** Refusals after the first one. */
  count: number;
  last: AuditRecord;
  readonly details: Set<string>;
}

export interface RecordRefusals {
  /** Throws AUDIT_UNAVAILABLE where the first refusal of a source cannot be recorded. */
  record(refusal: AuditRecord): Promise<void>;
  /** Writes what is still being counted. */
  stop(): Promise<void>;
}

export function createRecordRefusals(deps: {
  store: Store;
  clock: Clock;
  sleep: (ms: number, signal: AbortSignal) => Promise<void>;
  onFault: (error: unknown) => void;
}): RecordRefusals {
  const { store, clock, sleep, onFault } = deps;
  const windows = new Map<string, Window>();
  const running = new Set<Promise<void>>();
  const stopping = new AbortController();

  async function end(key: string, window: Window): Promise<void> {
    await sleep(windowMs, stopping.signal);
    windows.delete(key);
    if (window.count === 0) return;
    const until = clock.now();
    const facts = {
      count: window.count,
      since: window.since.toISOString(),
      until: until.toISOString(),
      details: [...window.details],
    };
    await store.audit.append({ ...window.last, at: until, facts }).catch(onFault);
  }

  return {
    async record(refusal) {
      const kind = `${refusal.action} ${refusal.result}`;
      const own = `${kind} ${sourceOf(refusal.ip)}`;
      const key = windows.has(own) || windows.size < sourcesAtOnce ? own : `${kind} many`;
      const window = windows.get(key);
      if (window) {
        window.count += 1;
        window.last = refusal;
        if (window.details.size < detailsAtMost) window.details.add(detailOf(refusal));
        return;
      }
      const opened = { since: refusal.at, count: 0, last: refusal, details: new Set<string>() };
      windows.set(key, opened);
      try {
        await store.audit.append(refusal);
      } catch (error) {
        if (windows.get(key) === opened) windows.delete(key);
        throw error;
      }
      const ending = end(key, opened).finally(() => running.delete(ending));
      running.add(ending);
    },

    async stop() {
      stopping.abort();
      await Promise.all(running);
    },
  };
}

function detailOf({ facts }: AuditRecord): string {
  return String(facts.detail ?? facts.reason ?? '');
}

/** Whoever has one address of a /64 has all of them. */
export function sourceOf(ip: string | undefined): string {
  if (ip === undefined || !isIPv6(ip)) return ip ?? 'unknown';
  const [head = '', tail] = ip.split('::');
  const before = head.split(':').filter((group) => group !== '');
  const after = (tail ?? '').split(':').filter((group) => group !== '');
  const zeros = tail === undefined ? 0 : 8 - before.length - after.length;
  const groups = [...before, ...Array.from({ length: zeros }, () => '0'), ...after];
  return `${groups
    .slice(0, 4)
    .map((group) => Number.parseInt(group, 16).toString(16))
    .join(':')}::/64`;
}
