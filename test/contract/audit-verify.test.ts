import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { verifyExport } from '../../broker/domain/audit-verify.ts';
import type { Store } from '../../broker/ports.ts';
import { createDatabase, type Database } from '../../broker/store/database.ts';
import { createStore } from '../../broker/store/store.ts';
import { createDatabase as copyDatabase, dropDatabase } from '../../stack/postgres.ts';
import { auditOf, strangersKey, useAuditedStore } from '../support/audit.ts';
import { asSuperuser, rehash } from '../support/forger.ts';
import { adminUrlOf, superuserUrl } from '../support/postgres.ts';
import { atEnd, type Scope } from '../support/scope.ts';
import { useConnection } from '../support/store.ts';
import { aRecord, minute } from '../support/store-fixtures.ts';
import { useSetUpVault } from '../support/vault-set-up.ts';

const vault = await useSetUpVault({ after });
let tenants = 0;

/** Creates a tenant of its own (Vault is shared) and records so many acts, with a signature after each fourth. */
async function useChain(t: Scope) {
  const audited = await useAuditedStore(t, vault);
  const { store, checkpointer } = audited;
  const chain = `tenant-${++tenants}`;
  await store.tenants.create({ name: chain, admins: [], createdAt: minute(0) }, act(chain, 1));
  for (let seq = 2; seq <= 12; seq++) {
    await store.audit.append(act(chain, seq));
    if (seq % 4 === 0) assert.equal(await checkpointer.runOnce(), 1);
  }
  assert.deepEqual(audited.faults, []);
  return { ...audited, chain, superuser: useConnection(t, superuserUrl(audited.url)) };
}

function act(chain: string, seq: number) {
  return aRecord('token.release', { tenant: chain, at: minute(seq), facts: { n: seq, source: 'cache' } });
}

test('verifies an ordinary chain with the auditor’s own key and anchor, while writing goes on', async (t) => {
  const { chain, verify, linesOf, signer, anchors, url } = await useChain(t);
  const anchor = (await anchors.find(chain))?.checkpoint;
  assert.ok(anchor);
  const own = { keys: await signer.keys(), anchor };
  const second = createDatabase({ url, applicationName: 'second broker' });
  atEnd(t, () => second.close());
  let writing = true;
  const writer = (async (on: Store) => {
    for (let seq = 13; writing; seq++) await on.audit.append(act(chain, seq));
  })(createStore({ database: second }));
  for (let turn = 0; turn < 5; turn++) {
    const verdict = await verify(chain, own);
    assert.equal(verdict.fault, undefined);
    assert.deepEqual([verdict.keysFrom, verdict.anchorFrom, verdict.signedTo], ['auditor', 'auditor', 12]);
    assert.ok(verdict.to >= 12);
  }
  writing = false;
  await writer;
  const fromFile = await verifyExport(await linesOf(chain));
  assert.deepEqual([fromFile.fault, fromFile.keysFrom, fromFile.checkpoints, fromFile.from], [undefined, 'file', 3, 1]);
});

const forged = `facts = '{"n": 666, "source": "cache"}'`;

for (const [what, tamper, found] of [
  [
    'a changed record',
    async (db: Database, chain: string) =>
      asSuperuser(db, `update audit_log set ${forged} where chain = '${chain}' and seq = 6`),
    { kind: 'content', seq: 6, through: 6 },
  ],
  [
    'a changed record whose own hash was computed anew: the one after it no longer fits',
    async (db: Database, chain: string) => {
      await asSuperuser(db, `update audit_log set ${forged} where chain = '${chain}' and seq = 6`);
      await rehash(db, chain, 6, 6);
    },
    { kind: 'content', seq: 7, through: 7 },
  ],
  [
    'a changed record with all later hashes computed anew: between which signatures',
    async (db: Database, chain: string) => {
      await asSuperuser(db, `update audit_log set ${forged} where chain = '${chain}' and seq = 6`);
      await rehash(db, chain, 6);
    },
    { kind: 'not_as_signed', seq: 5, through: 8 },
  ],
  [
    'a removed record',
    async (db: Database, chain: string) =>
      asSuperuser(db, `delete from audit_log where chain = '${chain}' and seq = 6`),
    { kind: 'missing', seq: 6, through: 6 },
  ],
  [
    'a removed record behind which all were numbered and hashed anew',
    async (db: Database, chain: string) => {
      const later = Array.from(
        { length: 6 },
        (_, n) => `update audit_log set seq = ${n + 6} where chain = '${chain}' and seq = ${n + 7}`,
      );
      await asSuperuser(db, `delete from audit_log where chain = '${chain}' and seq = 6`, ...later);
      await rehash(db, chain, 6);
    },
    { kind: 'not_as_signed', seq: 5, through: 8 },
  ],
  [
    'two records that changed places',
    async (db: Database, chain: string) =>
      asSuperuser(
        db,
        `update audit_log set seq = 99 where chain = '${chain}' and seq = 6`,
        `update audit_log set seq = 6 where chain = '${chain}' and seq = 7`,
        `update audit_log set seq = 7 where chain = '${chain}' and seq = 99`,
      ),
    { kind: 'content', seq: 6, through: 6 },
  ],
  [
    'an inserted record',
    async (db: Database, chain: string) => {
      const later = Array.from(
        { length: 6 },
        (_, n) => `update audit_log set seq = ${13 - n} where chain = '${chain}' and seq = ${12 - n}`,
      );
      await asSuperuser(
        db,
        ...later,
        `insert into audit_log (at, action, result, caller_kind, caller, request_id, tenant, facts, chain, seq, version, leaf, hash)
          select at, action, result, caller_kind, 'mallory', request_id, tenant, facts, chain, 7, version, leaf, hash
          from audit_log where chain = '${chain}' and seq = 6`,
      );
    },
    { kind: 'content', seq: 7, through: 7 },
  ],
  [
    'a cut tail',
    async (db: Database, chain: string) =>
      asSuperuser(db, `delete from audit_log where chain = '${chain}' and seq > 10`),
    { kind: 'cut', seq: 11, through: 12 },
  ],
  [
    'a cut tail where head and checkpoints were cut with it',
    async (db: Database, chain: string) => {
      await asSuperuser(
        db,
        `delete from audit_log where chain = '${chain}' and seq > 10`,
        `delete from audit_checkpoints where chain = '${chain}' and seq > 10`,
      );
      await rehash(db, chain, 11);
    },
    { kind: 'cut', seq: 11, through: 12 },
  ],
  [
    'a forged signature',
    async (db: Database, chain: string) =>
      asSuperuser(
        db,
        `update audit_checkpoints set signature = (select signature from audit_checkpoints where chain = '${chain}' and seq = 4)
          where chain = '${chain}' and seq = 8`,
      ),
    { kind: 'signature', seq: 8, through: 8 },
  ],
] as const) {
  test(`finds ${what}, and names it`, async (t) => {
    const { superuser, chain, verify, signer } = await useChain(t);
    await tamper(superuser, chain);
    const keys = await signer.keys();
    const { fault } = await verify(chain, { keys });
    assert.ok(fault);
    assert.deepEqual({ kind: fault.kind, seq: fault.seq, through: fault.through }, found, fault.what);
    assert.equal(fault.chain, chain);
  });
}

test('finds an old database that was put back, refuses to lower the anchor, and tells', async (t) => {
  const { database, superuser, chain, url } = await useChain(t);
  await Promise.all([database.close(), superuser.close()]);
  const source = new URL(url).pathname.slice(1);
  const name = `${source}_old`;
  const adminUrl = adminUrlOf(url);
  const oldUrl = await copyDatabase(adminUrl, name, source);
  atEnd(t, () => dropDatabase(adminUrl, name));
  const [now, old] = [url, oldUrl].map((each) => createDatabase({ url: each, applicationName: 'test' }));
  assert.ok(now && old);
  atEnd(t, async () => void (await Promise.all([now.close(), old.close()])));

  const going = await auditOf(t, vault, createStore({ database: now }));
  await createStore({ database: now }).audit.append(act(chain, 13));
  assert.equal(await going.checkpointer.runOnce(), 1);
  await going.checkpointer.check();

  const restored = createStore({ database: old });
  const back = await auditOf(t, vault, restored);
  assert.deepEqual((await back.verify(chain)).fault?.kind, 'cut');
  assert.equal(await back.checkpointer.runOnce(), 0);
  await assert.rejects(back.checkpointer.check(), { code: 'AUDIT_CHAIN_BROKEN' });
  assert.deepEqual(back.broken, [{ chain, seq: 12, anchored: 13 }]);

  // Also once it has grown past the anchor: its records are others.
  for (let seq = 13; seq <= 15; seq++) await restored.audit.append(act(chain, seq));
  assert.equal(await back.checkpointer.runOnce(), 0);
  assert.equal((await back.anchors.find(chain))?.checkpoint.seq, 13);
  assert.deepEqual((await back.verify(chain)).fault?.kind, 'not_as_signed');
});

test('finds a checkpoint that another key signed, and says where the key came from', async (t) => {
  const { chain, verify, linesOf } = await useChain(t);
  const strange = await verify(chain, { keys: [strangersKey()] });
  assert.deepEqual([strange.fault?.kind, strange.fault?.seq, strange.keysFrom], ['signature', 4, 'auditor']);
  const unknown = await verify(chain, { keys: [strangersKey(7)] });
  assert.equal(unknown.fault?.kind, 'unknown_key');
  const inFile = (await linesOf(chain)).map((line) =>
    line.startsWith('{"type":"key"') ? JSON.stringify({ type: 'key', ...strangersKey() }) : line,
  );
  assert.equal((await verifyExport(inFile)).fault?.kind, 'signature');
});

test('after the signing key was rotated, what the old version signed verifies as what the new one signs does', async (t) => {
  const { chain, store, checkpointer, signer, verify, linesOf } = await useChain(t);
  const before = await signer.keys();
  const exportedBefore = await linesOf(chain);
  await vault.operator.write(`${vault.layout.mounts.transit}/keys/audit-checkpoint/rotate`, {});
  for (let seq = 13; seq <= 16; seq++) await store.audit.append(act(chain, seq));
  assert.equal(await checkpointer.runOnce(), 1);

  const keys = await signer.keys();
  const newest = Math.max(...keys.map(({ version }) => version));
  assert.deepEqual(keys.slice(0, before.length), before, 'the old versions stay, for what they signed');
  assert.equal(newest, before.length + 1);
  for (const own of [{}, { keys }]) {
    const { fault, checkpoints, signedTo } = await verify(chain, own);
    assert.deepEqual([fault, checkpoints, signedTo], [undefined, 4, 16]);
  }
  const old = await verifyExport(exportedBefore, { keys });
  assert.deepEqual([old.fault, old.checkpoints, old.signedTo], [undefined, 3, 12]);

  const withoutNewest = await verify(chain, { keys: before });
  assert.equal(withoutNewest.fault?.kind, 'unknown_key');
  assert.match(withoutNewest.fault.what, new RegExp(`version ${newest}`));
  assert.equal(withoutNewest.signedTo, 12);
});

test('accepts an export that begins at a later record where a checkpoint covers the one before, and no other', async (t) => {
  const { chain, linesOf, superuser } = await useChain(t);
  const later = await verifyExport(await linesOf(chain, 7));
  assert.deepEqual([later.fault, later.from, later.to, later.records], [undefined, 5, 12, 8]);

  assert.equal(later.partFrom, 7);
  const uncovered = (await linesOf(chain, 7)).filter((line) => !line.includes('"checkpoint"'));
  const { fault } = await verifyExport(uncovered);
  assert.deepEqual([fault?.kind, fault?.seq], ['beginning', 5]);

  // A part that begins later than it was asked for, and so not where whoever asked can see a reason.
  await asSuperuser(superuser, `delete from audit_log where chain = '${chain}' and seq <= 8`);
  const cut = await verifyExport(await linesOf(chain, 7));
  assert.deepEqual([cut.fault?.kind, cut.fault?.seq, cut.fault?.through], ['beginning', 1, 8]);
});

test('refuses a file that was cut short, added to, or is none of ours', async (t) => {
  const { chain, linesOf } = await useChain(t);
  const lines = await linesOf(chain);
  const kindOf = async (changed: readonly string[]) => (await verifyExport(changed)).fault?.kind;
  assert.equal(await kindOf(lines.slice(0, -1)), 'incomplete');
  assert.equal(await kindOf([]), 'incomplete');
  assert.equal(await kindOf(lines.slice(1)), 'malformed');
  assert.equal(await kindOf([...lines, lines.at(-1) ?? '']), 'malformed');
  assert.equal(
    await kindOf(lines.map((line) => line.replace('{"type":"record",', '{"type":"record","note":"x",'))),
    'malformed',
  );
});

test('two brokers sign one chain without doing it double', async (t) => {
  const { store, chain, database, checkpointer } = await useChain(t);
  const other = await auditOf(t, vault, store);
  await store.audit.append(act(chain, 13));
  const signed = await Promise.all([checkpointer.runOnce(), other.checkpointer.runOnce()]);
  assert.equal(signed[0] + signed[1], 1);
  const rows = await database.run((db) =>
    db.selectFrom('audit_checkpoints').select('seq').where('chain', '=', chain).execute(),
  );
  assert.equal(rows.length, 4);
});

test('a broker that dies between Vault and database leaves a signature that the next one takes over', async (t) => {
  const { store, chain, database, faults, anchors } = await useChain(t);
  await store.audit.append(act(chain, 13));
  const chains = { ...store.auditChains, addCheckpoint: () => Promise.reject(new Error('killed')) };
  const dying = await auditOf(t, vault, store, { chains });
  assert.equal(await dying.checkpointer.runOnce(), 0);
  const anchored = (await anchors.find(chain))?.checkpoint;
  assert.equal(anchored?.seq, 13);

  const next = await auditOf(t, vault, store);
  assert.equal(await next.checkpointer.runOnce(), 1);
  const row = await database.run((db) =>
    db.selectFrom('audit_checkpoints').select('signature').where('chain', '=', chain).where('seq', '=', '13').execute(),
  );
  assert.deepEqual(row, [{ signature: anchored.signature }]);
  assert.deepEqual([(await next.verify(chain)).fault, faults, next.faults], [undefined, [], []]);
});

test('signs when enough records have come, or enough time has passed', async (t) => {
  let now = minute(0);
  const { store, checkpointer } = await useAuditedStore(t, vault, {
    afterRecords: 3,
    afterMs: 60_000,
    clock: { now: () => now },
  });
  const chain = `tenant-${++tenants}`;
  await store.tenants.create({ name: chain, admins: [], createdAt: minute(0) }, act(chain, 1));
  const signedAfter = async (records: number) => {
    for (let seq = 0; seq < records; seq++) await store.audit.append(act(chain, seq));
    return checkpointer.runOnce();
  };
  assert.deepEqual([await signedAfter(0), await signedAfter(2), await signedAfter(1)], [1, 0, 1]);
  assert.equal(await signedAfter(1), 0);
  now = minute(1);
  assert.equal(await signedAfter(0), 1);
  assert.equal(await signedAfter(0), 0);
});
