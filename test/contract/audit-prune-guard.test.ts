/** What PostgreSQL lets go of the audit record: to whom, in which transaction, and how much. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { sql } from 'kysely';
import type { Database } from '../../broker/store/database.ts';
import { databaseRoles } from '../../stack/postgres-roles.ts';
import { ownerUrl, superuserUrl } from '../support/postgres.ts';
import type { Scope } from '../support/scope.ts';
import { useConnection, useStore } from '../support/store.ts';
import { aRecord, fill } from '../support/store-fixtures.ts';

const refused = /sqlstate 42501/;
const meant = "select set_config('token_broker.audit_prune', pg_current_xact_id()::text, true)";
const firstFour = "delete from audit_log where chain = 'acme' and seq <= 4";

/** A chain of twelve records with checkpoints at 4, 8 and 12, whose signatures nobody looks at here; and one without any. */
async function useChain(t: Scope) {
  const { store, database, url } = await useStore(t);
  await fill(store);
  for (let seq = 3; seq <= 12; seq++) await store.audit.append(aRecord('token.release'));
  await store.audit.append(aRecord('identity.login', { tenant: undefined }));
  await database.run((db) =>
    sql`insert into audit_checkpoints (chain, seq, hash, at, key_version, signature)
      select chain, seq, hash, at, 1, '' from audit_log where chain = 'acme' and seq % 4 = 0`.execute(db),
  );
  const left = async () => {
    const { rows } = await database.run((db) =>
      sql<{ records: number; checkpoints: number }>`
        select (select count(*) from audit_log where chain = 'acme')::int as records,
          (select count(*) from audit_checkpoints)::int as checkpoints`.execute(db),
    );
    return [rows[0]?.records, rows[0]?.checkpoints];
  };
  return {
    left,
    runtime: database,
    owner: useConnection(t, ownerUrl(url)),
    superuser: useConnection(t, superuserUrl(url)),
  };
}

function run(database: Database, ...statements: readonly string[]): Promise<void> {
  return database.transaction(async (trx) => {
    for (const statement of statements) await sql.raw(statement).execute(trx);
  });
}

test('the owner deletes a beginning up to a checkpoint, and the checkpoints before it, where the transaction says so', async (t) => {
  const { owner, left } = await useChain(t);
  await run(
    owner,
    meant,
    "delete from audit_log where chain = 'acme' and seq <= 8",
    "delete from audit_checkpoints where chain = 'acme' and seq < 8",
  );
  assert.deepEqual(await left(), [4, 2]);
});

test('the role of the running broker deletes nothing, with the setting and even with the right', async (t) => {
  const { runtime, owner, left } = await useChain(t);
  await assert.rejects(run(runtime, meant, firstFour), refused);
  await run(owner, `grant delete on audit_log, audit_checkpoints to ${databaseRoles.runtime}`);
  await assert.rejects(run(runtime, meant, firstFour), refused);
  await run(owner, meant, firstFour);
  await assert.rejects(run(runtime, meant, 'delete from audit_checkpoints where seq > 4'), refused);
  assert.deepEqual(await left(), [8, 3]);
});

describe('the owner is refused', () => {
  for (const [what, ...statements] of [
    ['without the setting', firstFour],
    ['with a setting that is no transaction’s', "set local token_broker.audit_prune = 'on'", firstFour],
    ['in the middle', meant, "delete from audit_log where chain = 'acme' and seq between 5 and 8"],
    ['beyond a checkpoint', meant, "delete from audit_log where chain = 'acme' and seq <= 5"],
    ['before a checkpoint', meant, "delete from audit_log where chain = 'acme' and seq <= 3"],
    ['with a gap', meant, "delete from audit_log where chain = 'acme' and seq <= 8 and seq <> 2"],
    ['everything, where one chain has nothing signed', meant, 'delete from audit_log'],
    ['a change', meant, "update audit_log set caller = 'mallory' where seq = 1"],
    ['a truncation', meant, 'truncate audit_log'],
    ['a checkpoint whose records are there', meant, 'delete from audit_checkpoints where seq = 4'],
    ['the checkpoint that the rest begins behind', meant, firstFour, 'delete from audit_checkpoints where seq = 4'],
    ['the newest checkpoint', meant, firstFour, 'delete from audit_checkpoints where seq > 4'],
    ['a changed checkpoint', meant, "update audit_checkpoints set signature = 'x'"],
    ['a truncation of checkpoints', meant, 'truncate audit_checkpoints'],
  ] as const) {
    test(what, async (t) => {
      const { owner, left } = await useChain(t);
      await assert.rejects(run(owner, ...statements), refused);
      assert.deepEqual(await left(), [12, 3]);
    });
  }

  test('where a checkpoint has another hash than the record', async (t) => {
    const { owner, superuser, left } = await useChain(t);
    await run(
      superuser,
      'alter table audit_checkpoints disable trigger all',
      "update audit_checkpoints set hash = sha256('x') where seq = 4",
    );
    await assert.rejects(run(owner, meant, firstFour), refused);
    assert.deepEqual(await left(), [12, 3]);
  });

  test('with a setting of an earlier transaction of the session', async (t) => {
    const { owner, left } = await useChain(t);
    await owner.run((db) =>
      db.connection().execute(async (session) => {
        await sql`select set_config('token_broker.audit_prune', pg_current_xact_id()::text, false)`.execute(session);
        await assert.rejects(sql.raw(firstFour).execute(session), { code: '42501' });
      }),
    );
    assert.deepEqual(await left(), [12, 3]);
  });
});

test('a superuser who acts as a replica is held to the same', async (t) => {
  const { superuser, left } = await useChain(t);
  const replica = 'set local session_replication_role = replica';
  await assert.rejects(run(superuser, replica, firstFour), refused);
  await assert.rejects(run(superuser, replica, meant, 'delete from audit_log where seq between 5 and 8'), refused);
  assert.deepEqual(await left(), [12, 3]);
});
