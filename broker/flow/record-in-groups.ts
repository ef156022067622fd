/**
 * Writes records that stand alone (a token's release, a refusal, a login): many in one transaction, each caller answered
 * when its own record is on disk. While the database does not answer in time they go to the replica's spool, and from
 * there, in order, into the database when it is back. Where neither can be written, the caller hears AUDIT_UNAVAILABLE.
 *
 * direct:   a group goes to the database; where that does not answer, the group goes to the spool.
 * spooling: while the database is away or anything waits in the spool, so that no record overtakes an older one.
 *
 * A group that got no answer may be written all the same, and is then in the database and in the spool: `appendAll` tells
 * records by their content and writes each of them once.
 */
import type { AuditRecord } from '../domain/audit-record.ts';
import { asBrokerError, BrokerError } from '../errors.ts';
import type { AuditLog, AuditSpool, PreparedRecord } from '../ports.ts';
import { type DatabasePresence, isUnavailable } from './database-presence.ts';
import { inGroups } from './in-groups.ts';

const largestGroup = 1_000;
const mostWaiting = 20_000;
const drainDeadlineMs = 10_000;

export interface RecordInGroups {
  /** Answers when the record is durable. Throws AUDIT_UNAVAILABLE: then the act must be refused. */
  append(record: AuditRecord): Promise<void>;
  /** Begins with what an earlier process has left in the spool. */
  start(): void;
  /** Throws AUDIT_UNAVAILABLE where the last record could be written nowhere. */
  check(): Promise<void>;
  stop(): Promise<void>;
}

/** What became of a record: undefined where it is durable. */
type Outcome = BrokerError | undefined;

export function createRecordInGroups(deps: {
  readonly log: Pick<AuditLog, 'prepare' | 'appendAll'>;
  readonly spool: AuditSpool;
  readonly presence: DatabasePresence;
  /** Told of each group that was written, and where. */
  readonly onGroup: (to: 'database' | 'spool', records: number) => void;
  readonly onFault: (error: unknown) => void;
}): RecordInGroups {
  const { log, spool, presence, onGroup, onFault } = deps;
  let draining: Promise<void> | undefined;
  let stopped = false;
  let fault: BrokerError | undefined;

  const ask = inGroups<PreparedRecord, Outcome>({
    work: write,
    largest: largestGroup,
    mostWaiting,
    full: () => new BrokerError('AUDIT_UNAVAILABLE', { detail: 'too many records wait to be written' }),
  });

  async function write(records: readonly PreparedRecord[]): Promise<readonly Outcome[]> {
    if (!presence.isAway() && spool.isEmpty()) {
      try {
        return await commit(records, (group) => presence.within(() => log.appendAll(group, { firstTime: true })));
      } catch {
        // The spool takes them, and they are tried again from there.
      }
    }
    return keep(records);
  }

  /** Throws where trying again can help. A record that the database refuses for what it is fails alone. */
  async function commit(
    records: readonly PreparedRecord[],
    append: (group: readonly PreparedRecord[]) => Promise<void>,
  ): Promise<readonly Outcome[]> {
    try {
      await append(records);
      onGroup('database', records.length);
      return records.map(() => undefined);
    } catch (error) {
      if (asBrokerError(error).code !== 'INTERNAL') throw error;
      if (records.length === 1) return [notRecorded(error)];
      const middle = Math.ceil(records.length / 2);
      const first = await commit(records.slice(0, middle), append);
      return [...first, ...(await commit(records.slice(middle), append))];
    }
  }

  async function keep(records: readonly PreparedRecord[]): Promise<readonly Outcome[]> {
    try {
      await spool.append(records.map(({ record }) => record));
    } catch (error) {
      fault = notRecorded(error);
      return records.map(() => fault);
    }
    fault = undefined;
    onGroup('spool', records.length);
    drainSoon();
    return records.map(() => undefined);
  }

  function drainSoon(): void {
    if (draining || stopped || presence.isAway() || spool.isEmpty()) return;
    draining = drain()
      .catch((error: unknown) => {
        if (!isUnavailable(error)) onFault(error);
      })
      .finally(() => {
        draining = undefined;
      });
  }

  async function drain(): Promise<void> {
    while (!stopped) {
      const batch = await spool.next(largestGroup);
      if (!batch) {
        if (spool.isEmpty()) return;
        continue;
      }
      const { records } = batch;
      const prepared = records.map(log.prepare);
      const outcomes = await commit(prepared, (group) => presence.within(() => log.appendAll(group), drainDeadlineMs));
      const refused = records.filter((_, place) => outcomes[place] !== undefined);
      if (refused.length > 0) {
        const detail = `${refused.length} spooled records were refused by the database and are kept aside`;
        onFault(new BrokerError('AUDIT_UNAVAILABLE', { detail, cause: outcomes.find(Boolean) }));
      }
      await batch.done(refused);
    }
  }

  presence.onBack(() => {
    fault = undefined;
    drainSoon();
  });

  return {
    async append(record) {
      // Hashed here, while the group before is under way.
      const outcome = await ask(log.prepare(record));
      if (outcome) throw outcome;
    },
    start: drainSoon,
    async check() {
      if (fault && presence.isAway()) throw fault;
    },
    async stop() {
      stopped = true;
      await draining;
    },
  };
}

function notRecorded(cause: unknown): BrokerError {
  return new BrokerError('AUDIT_UNAVAILABLE', { detail: 'the record was not written', cause });
}
