/**
 * Hears of changes through the table `outbox`. The table is the truth and a notification only says that it is worth a
 * look; there is a look now and then all the same, which also finds a connection that is dead without a word.
 *
 * Transactions become visible in another order than their ids were given. So a reader keeps the snapshot of its last
 * look and asks for what it could not see then: each change once, none left out, also after an outage.
 */
import { setTimeout as timer } from 'node:timers/promises';
import { sql } from 'kysely';
import type { ChangeListener, Changes, ChannelChange } from '../ports.ts';
import type { Database } from './database.ts';
import type { DedicatedConnection } from './dedicated-connection.ts';
import { translatePostgresError } from './postgres-error.ts';
import type { ChangeFacts } from './schema.ts';

const lookEveryMs = 5_000;
const firstPauseMs = 100;
const longestPauseMs = 5_000;
/** More than this at once is not listed one by one. */
const mostAtOnce = 10_000;

interface OutboxRow {
  readonly kind: string;
  readonly tenant: string | null;
  readonly channel: string | null;
  readonly facts: ChangeFacts;
}

export function createChanges(database: Database): Changes {
  return {
    follow(listener, randomFraction) {
      const stopping = new AbortController();
      const stopped = follow(database, listener, randomFraction, stopping.signal);
      return {
        stop() {
          stopping.abort();
          return stopped;
        },
      };
    },

    prune: (olderThanMs, limit) =>
      database.run(async (db) => {
        const { rows } = await sql`
          delete from outbox where id in (
            select id from outbox where at < now() - make_interval(secs => ${olderThanMs / 1000}) order by at limit ${limit}
          ) returning id`.execute(db);
        return rows.length;
      }),
  };
}

async function follow(
  database: Database,
  listener: ChangeListener,
  randomFraction: () => number,
  stopping: AbortSignal,
): Promise<void> {
  let seen: string | undefined;
  let failures = 0;
  while (!stopping.aborted) {
    const connection = database.dedicated();
    try {
      const noted = noteBook(connection);
      await connection.open();
      await connection.query('listen outbox');
      seen = await deliver(connection, listener, seen);
      listener.lookAgain();
      listener.hears();
      failures = 0;
      while (!stopping.aborted) {
        await noted.next(stopping);
        if (!stopping.aborted) seen = await deliver(connection, listener, seen);
      }
    } catch (error) {
      failures += 1;
      if (!stopping.aborted) listener.deaf(translatePostgresError(error));
    } finally {
      connection.drop();
    }
    const pause = Math.min(longestPauseMs, firstPauseMs * 2 ** failures) * (0.5 + randomFraction() / 2);
    await timer(pause, undefined, { signal: stopping }).catch(() => undefined);
  }
}

/** Remembers notifications that come while nobody waits for one, and that the connection broke: the next look meets it. */
function noteBook(connection: DedicatedConnection) {
  let noted = false;
  let wake = () => {};
  const note = () => {
    noted = true;
    wake();
  };
  connection.onNotification(note);
  // Once and not at each look: a promise keeps whoever waits for it, and this one lives as long as the connection.
  connection.broken.catch(note);
  return {
    /** Resolves at the next notification, in a while, where the connection breaks, or when it is time to stop. */
    async next(stopping: AbortSignal): Promise<void> {
      const woken = new AbortController();
      wake = () => woken.abort();
      if (!noted) {
        const signal = AbortSignal.any([woken.signal, stopping]);
        await timer(lookEveryMs, undefined, { signal }).catch(() => undefined);
      }
      noted = false;
    },
  };
}

/** Tells what could not be seen at the last look, and answers the snapshot of this one. */
async function deliver(
  connection: DedicatedConnection,
  listener: ChangeListener,
  seen: string | undefined,
): Promise<string> {
  const [look] = await connection.query<{ snapshot: string; rows: readonly OutboxRow[] | null; older: boolean }>(
    `select pg_current_snapshot()::text as snapshot,
       coalesce(pg_snapshot_xmax(pg_current_snapshot()) < pg_snapshot_xmax($1::pg_snapshot), false) as older,
       (select json_agg(json_build_object('kind', kind, 'tenant', tenant, 'channel', channel, 'facts', facts) order by id) from (
         select id, kind, tenant, channel, facts from outbox
         where xid >= pg_snapshot_xmin($1::pg_snapshot) and not pg_visible_in_snapshot(xid, $1::pg_snapshot)
         order by id limit $2
       ) as unseen) as rows`,
    [seen ?? null, mostAtOnce + 1],
  );
  if (!look) throw new Error('postgres answered a look into the outbox with nothing');
  const rows = look.rows ?? [];
  const denials = rows.filter(({ kind }) => kind === 'denials.changed');
  if (denials.length > 0) listener.denialsChanged();
  const changes = rows.slice(0, mostAtOnce).flatMap(toChange);
  if (changes.length > 0) listener.changed(changes);
  // Too many, emptied tables, a tenant that shuts somebody out of its channels, or a database that was set back.
  const everywhere = denials.filter(({ tenant }) => tenant === null);
  if (changes.length + everywhere.length < rows.length || look.older) listener.lookAgain();
  return look.snapshot;
}

function toChange({ tenant, channel, facts }: OutboxRow): ChannelChange[] {
  if (channel === null) return [];
  const { formerState, formerGeneration, state, generation } = facts;
  return [
    {
      channel,
      tenant: tenant ?? undefined,
      former:
        formerState && formerGeneration !== undefined
          ? { state: formerState, generation: formerGeneration }
          : undefined,
      present: state && generation !== undefined ? { state, generation } : undefined,
    },
  ];
}
