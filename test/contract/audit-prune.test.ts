/** What is kept no longer of the audit record goes, by a real PostgreSQL and signatures of a real Vault. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { sql } from 'kysely';
import { writeAuditRecords } from '../../broker/store/audit-writer.ts';
import { createDatabase } from '../../broker/store/database.ts';
import { createAuditPruning } from '../../broker/store/owner/audit-pruning.ts';
import { createStore } from '../../broker/store/store.ts';
import { auditOf } from '../support/audit.ts';
import { act, pruner, prunesOf, shown, usePrunableChain, whenOld } from '../support/audit-prune.ts';
import { useCommitCutter } from '../support/commit-cutter.ts';
import { asSuperuser } from '../support/forger.ts';
import { ownerUrl } from '../support/postgres.ts';
import { atEnd } from '../support/scope.ts';
import { useConnection } from '../support/store.ts';
import { aRecord, minute } from '../support/store-fixtures.ts';
import { useSetUpVault } from '../support/vault-set-up.ts';

const vault = await useSetUpVault({ after });
const caller = { kind: 'scheduler', requestId: 'prune-1' } as const;
const quiet = () => {};

test('deletes what is old enough up to a checkpoint, on record, and the rest verifies with the auditor’s own key and anchor', async (t) => {
  const { chain, store, database, pruneAt, verify, signer, anchors } = await usePrunableChain(t, vault);
  const prune = pruneAt(whenOld(11));
  const { before, due } = await prune.plan();
  assert.deepEqual([before, shown(due)], [minute(11), [`${chain} 1-8`]]);
  const told: string[] = [];
  const result = await prune.run(caller, (soFar, total) => told.push(`${soFar} of ${total}`));
  assert.deepEqual([shown(result.pruned), told], [[`${chain} 1-8`], ['8 of 8']]);

  const records = await store.audit.list({ tenant: chain, limit: 100 });
  assert.deepEqual(
    records.map(({ facts }) => facts.n ?? 'prune'),
    ['prune', 12, 11, 10, 9],
  );
  const { rows } = await database.run((db) =>
    sql<{
      seq: string;
      hash: Buffer;
    }>`select seq, hash from audit_checkpoints where chain = ${chain} order by seq`.execute(db),
  );
  assert.deepEqual(
    rows.map(({ seq }) => seq),
    ['8', '12'],
  );
  const [record] = records;
  assert.deepEqual([record?.callerKind, record?.requestId, record?.at], ['scheduler', 'prune-1', whenOld(11)]);
  assert.deepEqual(record?.facts, {
    from: 1,
    through: 8,
    records: 8,
    hash: rows[0]?.hash.toString('hex'),
    checkpointAt: minute(8).toISOString(),
    keyVersion: 1,
    before: minute(11).toISOString(),
    keptSeconds: 400 * 86_400,
    databaseRole: 'broker_owner',
  });
  const anchor = (await anchors.find(chain))?.checkpoint;
  assert.ok(anchor);
  const verdict = await verify(chain, { keys: await signer.keys(), anchor });
  assert.deepEqual([verdict.fault, verdict.from, verdict.to, verdict.signedTo], [undefined, 9, 13, 12]);
  assert.deepEqual([verdict.pruned?.through, verdict.pruned?.seq, verdict.pruned?.before], [8, 13, minute(11)]);
  assert.deepEqual(shown((await prune.run(caller, quiet)).pruned), []);
});

test('deletes nothing that is younger, that a younger one stands before, or that is not signed', async (t) => {
  const { chain, store, pruneAt, sign, begin, owner } = await usePrunableChain(t, vault);
  const due = async (minutes: number) => shown((await pruneAt(whenOld(minutes)).plan()).due);
  assert.deepEqual(await due(3), []);
  assert.deepEqual(await due(4), [`${chain} 1-4`]);
  assert.deepEqual(await due(12), [`${chain} 1-12`]);
  await store.audit.append(act(chain, 13));
  assert.deepEqual(await due(99), [`${chain} 1-12`], 'what is not signed');
  await sign(minute(90));
  assert.deepEqual(await due(20), [`${chain} 1-12`], 'what was signed later');
  assert.deepEqual(await due(90), [`${chain} 1-13`]);

  const other = await begin();
  await store.audit.append({ ...act(other, 50), facts: { n: 13 } });
  await store.audit.append({ ...act(other, 14), facts: { n: 14 } });
  await sign(minute(15));
  assert.deepEqual((await due(40)).at(-1), `${other} 1-12`, 'one with a later clock holds what is behind it');
  const early = { from: 1, through: (await pruneAt(whenOld(60)).plan()).due.at(-1)?.through ?? assert.fail() };
  await assert.rejects(createAuditPruning(owner).prune(early, minute(40), aRecord('audit.prune', { tenant: other })), {
    code: 'STORE_CONFLICT',
  });
  assert.equal((await store.audit.list({ tenant: other, limit: 100 })).length, 14);
});

test('goes batch by batch, each with its record, and at least to the next checkpoint', async (t) => {
  const { chain, store, pruneAt, verify, begin } = await usePrunableChain(t, vault);
  const other = await begin();
  const told: string[] = [];
  const { pruned } = await pruneAt(whenOld(12), 6).run(caller, (soFar, total) => told.push(`${soFar}/${total}`));
  const three = (name: string) => [`${name} 1-4`, `${name} 5-8`, `${name} 9-12`];
  assert.deepEqual(shown(pruned), [chain, other].toSorted().flatMap(three));
  assert.deepEqual(told, ['4/24', '8/24', '12/24', '16/24', '20/24', '24/24']);
  assert.deepEqual(await prunesOf(store, chain), ['1-4', '5-8', '9-12']);
  const verdict = await verify(chain);
  assert.deepEqual([verdict.fault, verdict.from, verdict.pruned?.through], [undefined, 13, 12]);

  const again = await usePrunableChain(t, vault);
  assert.deepEqual(shown((await again.pruneAt(whenOld(12), 8).run(caller, quiet)).pruned), [
    `${again.chain} 1-8`,
    `${again.chain} 9-12`,
  ]);
  const small = await usePrunableChain(t, vault);
  assert.equal((await small.pruneAt(whenOld(12), 1).run(caller, quiet)).pruned.length, 3);
});

test('keeps everything where the record is kept for ever', async (t) => {
  const { store, owner, chain } = await usePrunableChain(t, vault);
  const { createPruneAudit } = await import('../../broker/flow/prune-audit.ts');
  const forEver = createPruneAudit({
    pruning: createAuditPruning(owner),
    clock: { now: () => whenOld(99) },
    retentionMs: 0,
    mostPerBatch: 10,
    databaseRole: 'owner',
  });
  assert.deepEqual(await forEver.plan(), { before: undefined, due: [] });
  assert.deepEqual(await forEver.run(caller, quiet), { before: undefined, pruned: [] });
  assert.equal((await store.audit.list({ tenant: chain, limit: 100 })).length, 12);
});

test('two at once, while brokers write, delete everything once', async (t) => {
  const { chain, store, url, verify, begin, sign } = await usePrunableChain(t, vault);
  const other = await begin();
  let writing = true;
  const writer = (async () => {
    for (let seq = 20; writing; seq++)
      await Promise.all([chain, other].map((name) => store.audit.append(act(name, seq))));
  })();
  const both = [1, 2].map((n) => {
    const owner = useConnection(t, ownerUrl(url));
    return pruner(owner, whenOld(12), 4).run({ kind: 'scheduler', requestId: `prune-${n}` }, quiet);
  });
  const results = await Promise.all(both);
  writing = false;
  await writer;
  assert.equal(results.flatMap(({ pruned }) => pruned).length, 6);
  for (const name of [chain, other]) {
    assert.deepEqual(await prunesOf(store, name), ['1-4', '5-8', '9-12']);
    const verdict = await verify(name);
    assert.deepEqual([verdict.fault, verdict.from], [undefined, 13]);
  }
  await sign(minute(200));
});

test('a batch whose commit was done and whose answer was lost is not recorded twice', async (t) => {
  const { chain, store, url, pruneAt, verify } = await usePrunableChain(t, vault);
  const cutter = await useCommitCutter(t, ownerUrl(url));
  const unlucky = createAuditPruning(useConnection(t, cutter.url));
  const [stretch] = (await pruneAt(whenOld(8)).plan()).due;
  assert.ok(stretch);
  const facts = { from: 1, through: 8, hash: stretch.through.hash.toString('hex') };
  const times = { checkpointAt: minute(8).toISOString(), before: minute(8).toISOString() };
  const record = aRecord('audit.prune', { tenant: chain, facts: { ...facts, ...times } });
  cutter.arm();
  await assert.rejects(unlucky.prune(stretch, minute(8), record), { code: 'STORE_UNAVAILABLE' });
  await unlucky.prune(stretch, minute(8), record);
  assert.deepEqual(await prunesOf(store, chain), ['1-8']);
  assert.equal((await verify(chain)).fault, undefined);
  await assert.rejects(unlucky.prune(stretch, minute(8), aRecord('audit.prune', { tenant: chain })), {
    code: 'STORE_CONFLICT',
  });
});

test('what is not as it was signed stays, is told, and holds no other chain back', async (t) => {
  const { chain, store, superuser, pruneAt, begin, verify } = await usePrunableChain(t, vault);
  const other = await begin();
  await asSuperuser(superuser, `update audit_log set caller = 'mallory' where chain = '${chain}' and seq = 6`);
  await assert.rejects(pruneAt(whenOld(12), 4).run(caller, quiet), {
    code: 'AUDIT_CHAIN_BROKEN',
    detail: `not as it was signed, and so not deleted: the record of ${chain}`,
  });
  assert.deepEqual([await prunesOf(store, chain), await prunesOf(store, other)], [['1-4'], ['1-4', '5-8', '9-12']]);
  const { fault } = await verify(chain);
  assert.deepEqual([fault?.kind, fault?.seq], ['content', 6]);
});

for (const [what, forgery] of [
  ['a record that is missing', 'delete from audit_log where seq = 6'],
  ['a beginning that was cut away', 'delete from audit_log where seq <= 6'],
  ['a beginning that was cut away where Vault signed', 'delete from audit_log where seq <= 8'],
] as const) {
  test(`${what} is not covered by a prune`, async (t) => {
    const { chain, store, superuser, pruneAt, verify } = await usePrunableChain(t, vault);
    await pruneAt(whenOld(4)).run(caller, quiet);
    await asSuperuser(superuser, `${forgery} and chain = '${chain}'`);
    await assert.rejects(pruneAt(whenOld(12)).run(caller, quiet), { code: 'AUDIT_CHAIN_BROKEN' });
    assert.deepEqual(await prunesOf(store, chain), ['1-4']);
    assert.ok((await verify(chain)).fault);
  });
}

test('the anchor in Vault fits what remains, also where the anchored record itself is gone, and the chain is signed on', async (t) => {
  const { chain, store, pruneAt, anchors } = await usePrunableChain(t, vault);
  const before = await anchors.find(chain);
  assert.equal(before?.checkpoint.seq, 12);
  await pruneAt(whenOld(12)).run(caller, quiet);
  // A broker that has just started compares everything with Vault.
  const started = await auditOf(t, vault, store);
  assert.equal(await started.checkpointer.runOnce(), 1);
  await started.checkpointer.check();
  assert.deepEqual([started.broken, started.faults], [[], []]);
  const anchored = (await anchors.find(chain))?.checkpoint;
  assert.equal(anchored?.seq, 13);
  const verdict = await started.verify(chain);
  assert.deepEqual([verdict.fault, verdict.from, verdict.signedTo], [undefined, 13, 13]);
  // An anchor that the auditor took before the prune proves nothing of what is left, and is no fault of it.
  const old = await started.verify(chain, { keys: await started.signer.keys(), anchor: before.checkpoint });
  assert.deepEqual([old.fault, old.anchoredTo], [undefined, 12]);
});

test('an export that has begun has all that was there, whatever is deleted and recorded meanwhile', async (t) => {
  const { chain, database, store, pruneAt, sign, linesOf } = await usePrunableChain(t, vault);
  const many = Array.from({ length: 3_000 }, (_, n) => ({ ...act(chain, 13), facts: { n: n + 13 } }));
  await database.transaction((trx) => writeAuditRecords(trx, many));
  await sign(minute(13));
  const reading = store.auditChains.read(chain)[Symbol.asyncIterator]();
  const seen: number[] = [];
  for (let n = 0; n < 20; n++) seen.push(seqOf((await reading.next()).value));
  await pruneAt(whenOld(20)).run(caller, quiet);
  await store.audit.append(act(chain, 14));
  for (let next = await reading.next(); !next.done; next = await reading.next()) seen.push(seqOf(next.value));
  // Records 1 to 3012, four checkpoints, and the end.
  assert.deepEqual([seen.length, seen[0], seen.at(-2), seen.at(-1)], [3_012 + 4 + 1, 1, 3_012, 3_012]);
  assert.equal(seqOf(JSON.parse((await linesOf(chain)).at(-1) ?? '')), 3_014);

  function seqOf(line: { seq?: number; checkpoint?: { seq: number }; head?: { seq: number } }): number {
    return line.seq ?? line.checkpoint?.seq ?? line.head?.seq ?? Number.NaN;
  }
});

test('readers who stop early let go of their connections, and those who are too many are told to come again', async (t) => {
  const { chain, url } = await usePrunableChain(t, vault);
  // With a broker's patience; those of the tests wait longer.
  const database = createDatabase({ url, applicationName: 'test', connectTimeoutMs: 2_000 });
  atEnd(t, () => database.close());
  const store = createStore({ database });
  const begun = async () => {
    const reader = store.auditChains.read(chain)[Symbol.asyncIterator]();
    await reader.next();
    return reader;
  };
  for (let turn = 0; turn < 2; turn++) {
    const readers = [await begun(), await begun(), await begun()];
    await assert.rejects(begun(), { code: 'STORE_UNAVAILABLE' });
    await store.audit.append(act(chain, 30 + turn));
    for (const reader of readers) await reader.return?.();
  }
});

test('the reader of the record ends, backwards, and begins, forwards, at the oldest that is left', async (t) => {
  const { chain, store, pruneAt } = await usePrunableChain(t, vault);
  await pruneAt(whenOld(8)).run(caller, quiet);
  const page = (from: { before?: number } | { after: number }) =>
    store.auditReader.page({ chain, filter: {}, from, limit: 3 });
  const seqs = ({ entries }: { entries: readonly { seq: number }[] }) => entries.map(({ seq }) => seq);
  const newest = await page({});
  assert.deepEqual([seqs(newest), newest.next], [[13, 12, 11], 11]);
  const oldest = await page({ before: 11 });
  assert.deepEqual([seqs(oldest), oldest.next], [[10, 9], undefined]);
  const first = await page({ after: 0 });
  assert.deepEqual([seqs(first), first.next], [[9, 10, 11], 11]);
  assert.deepEqual(seqs(await store.auditReader.page({ chain, filter: {}, from: { before: 5 }, limit: 3 })), []);
});
