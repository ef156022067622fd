import { randomBytes } from 'node:crypto';
import { setTimeout as timer } from 'node:timers/promises';
import { createDatabasePresence, type DatabasePresence } from '../../broker/flow/database-presence.ts';
import { createRecordInGroups, type RecordInGroups } from '../../broker/flow/record-in-groups.ts';
import type { AuditSpool, Store } from '../../broker/ports.ts';
import { openAuditSpool } from '../../broker/spool/audit-spool.ts';

export interface TestRecorder extends RecordInGroups {
  readonly spool: AuditSpool;
  readonly presence: DatabasePresence;
  /** Sizes of the groups, by where they were written. */
  readonly groups: { readonly database: number[]; readonly spool: number[] };
  readonly faults: unknown[];
}

/** The recorder of a broker, as `broker.ts` wires it. */
export async function startRecorder({
  store,
  directory,
  patienceMs = 500,
  mostBytes = 2 ** 30,
  onGroup = () => {},
}: {
  readonly store: Store;
  readonly directory: string;
  readonly patienceMs?: number;
  readonly mostBytes?: number;
  readonly onGroup?: (to: 'database' | 'spool', records: number) => void;
}): Promise<TestRecorder> {
  const log = { warn: () => {}, error: () => {} };
  const clock = { now: () => new Date() };
  const spool = await openAuditSpool({ directory, mostBytes, clock, random: randomBytes, log });
  const presence = createDatabasePresence({
    check: () => store.check(),
    patienceMs,
    sleep: (ms, signal) => timer(ms, undefined, { signal }).catch(() => {}),
    onChange: () => {},
  });
  const groups = { database: [] as number[], spool: [] as number[] };
  const faults: unknown[] = [];
  const recorder = createRecordInGroups({
    log: store.audit,
    spool,
    presence,
    onGroup: (to, records) => {
      groups[to].push(records);
      onGroup(to, records);
    },
    onFault: (fault) => void faults.push(fault),
  });
  return {
    ...recorder,
    spool,
    presence,
    groups,
    faults,
    async stop() {
      await recorder.stop();
      await presence.stop();
      await spool.close();
    },
  };
}
