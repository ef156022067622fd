/** What is left after a prune is verified as before: whatever is done to it is found, and so is a beginning that was cut away. */
import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { type AuditFault, verifyExport } from '../../broker/domain/audit-verify.ts';
import { act, pruner, usePrunableChain, whenOld } from '../support/audit-prune.ts';
import { asSuperuser, rehash } from '../support/forger.ts';
import type { Scope } from '../support/scope.ts';
import { aRecord, minute } from '../support/store-fixtures.ts';
import { useSetUpVault } from '../support/vault-set-up.ts';

const vault = await useSetUpVault({ after });
const caller = { kind: 'scheduler', requestId: 'prune-1' } as const;

/** Twelve records of which 1 to 4 were pruned (13 says so), and three more, signed to 16. */
async function usePrunedChain(t: Scope) {
  const made = await usePrunableChain(t, vault);
  const { chain, store, sign, pruneAt } = made;
  await pruneAt(whenOld(4)).run(caller, () => {});
  for (let seq = 14; seq <= 16; seq++) await store.audit.append(act(chain, seq));
  await sign(whenOld(5));
  const verdict = await made.verify(chain);
  assert.deepEqual([verdict.fault, verdict.from, verdict.signedTo], [undefined, 5, 16]);
  return made;
}

type Made = Awaited<ReturnType<typeof usePrunedChain>>;
type Found = Pick<AuditFault, 'kind' | 'seq' | 'through'>;

const cases: readonly (readonly [what: string, tamper: (made: Made) => Promise<unknown>, found: Found])[] = [
  [
    'a changed record',
    ({ chain, superuser }) =>
      asSuperuser(superuser, `update audit_log set caller = 'mallory' where chain = '${chain}' and seq = 7`),
    { kind: 'content', seq: 7, through: 7 },
  ],
  [
    'a changed record with all later hashes computed anew',
    async ({ chain, superuser }) => {
      await asSuperuser(superuser, `update audit_log set caller = 'mallory' where chain = '${chain}' and seq = 7`);
      await rehash(superuser, chain, 7);
    },
    { kind: 'not_as_signed', seq: 5, through: 8 },
  ],
  [
    'a removed record',
    ({ chain, superuser }) => asSuperuser(superuser, `delete from audit_log where chain = '${chain}' and seq = 7`),
    { kind: 'missing', seq: 7, through: 7 },
  ],
  [
    'two records that changed places',
    ({ chain, superuser }) =>
      asSuperuser(
        superuser,
        `update audit_log set seq = 99 where chain = '${chain}' and seq = 6`,
        `update audit_log set seq = 6 where chain = '${chain}' and seq = 7`,
        `update audit_log set seq = 7 where chain = '${chain}' and seq = 99`,
      ),
    { kind: 'content', seq: 6, through: 6 },
  ],
  [
    'an inserted record, which is one that was there before',
    ({ chain, superuser }) =>
      asSuperuser(
        superuser,
        ...Array.from(
          { length: 10 },
          (_, n) => `update audit_log set seq = ${17 - n} where chain = '${chain}' and seq = ${16 - n}`,
        ),
        `insert into audit_log (at, action, result, caller_kind, caller, request_id, tenant, facts, chain, seq, version, leaf, hash)
          select at, action, result, caller_kind, caller, request_id, tenant, facts, chain, 7, version, leaf, hash
          from audit_log where chain = '${chain}' and seq = 6`,
      ),
    { kind: 'content', seq: 7, through: 7 },
  ],
  [
    'a cut tail, with head and checkpoints',
    async ({ chain, superuser }) => {
      await asSuperuser(
        superuser,
        `delete from audit_log where chain = '${chain}' and seq > 14`,
        `delete from audit_checkpoints where chain = '${chain}' and seq > 14`,
      );
      await rehash(superuser, chain, 15);
    },
    { kind: 'cut', seq: 15, through: 16 },
  ],
  [
    'more deleted by hand than the prune says, up to a checkpoint',
    ({ chain, superuser }) =>
      asSuperuser(
        superuser,
        `delete from audit_log where chain = '${chain}' and seq <= 8`,
        `delete from audit_checkpoints where chain = '${chain}' and seq < 8`,
      ),
    { kind: 'beginning', seq: 5, through: 8 },
  ],
  [
    'more deleted by hand, the record of the prune with it',
    ({ chain, superuser }) => asSuperuser(superuser, `delete from audit_log where chain = '${chain}' and seq <= 16`),
    { kind: 'beginning', seq: 1, through: 16 },
  ],
  [
    'a record of the prune that was changed to cover more',
    async ({ chain, superuser }) => {
      await asSuperuser(
        superuser,
        `update audit_log set facts = facts || (select jsonb_build_object('through', 8, 'hash', encode(hash, 'hex'))
          from audit_checkpoints where chain = '${chain}' and seq = 8) where chain = '${chain}' and seq = 13`,
        `delete from audit_log where chain = '${chain}' and seq <= 8`,
        `delete from audit_checkpoints where chain = '${chain}' and seq < 8`,
      );
      await rehash(superuser, chain, 13);
    },
    { kind: 'not_as_signed', seq: 13, through: 16 },
  ],
  [
    'a second record of a prune, of what was younger than it says',
    async ({ chain, superuser, store, database }) => {
      const [through] = await database.run((db) =>
        db.selectFrom('audit_checkpoints').selectAll().where('chain', '=', chain).where('seq', '=', '8').execute(),
      );
      const facts = {
        from: 5,
        through: 8,
        hash: through?.hash.toString('hex') ?? '',
        checkpointAt: minute(7).toISOString(),
        before: minute(7).toISOString(),
      };
      await store.audit.append(aRecord('audit.prune', { tenant: chain, facts }));
      await asSuperuser(superuser, `delete from audit_log where chain = '${chain}' and seq <= 8`);
    },
    { kind: 'beginning', seq: 5, through: 8 },
  ],
  [
    'a second record of a prune that names another record than the one that is signed',
    async ({ chain, superuser, store }) => {
      const facts = { from: 5, through: 8, hash: 'ab'.repeat(32) };
      const times = { checkpointAt: minute(8).toISOString(), before: minute(8).toISOString() };
      await store.audit.append(aRecord('audit.prune', { tenant: chain, facts: { ...facts, ...times } }));
      await asSuperuser(superuser, `delete from audit_log where chain = '${chain}' and seq <= 8`);
    },
    { kind: 'beginning', seq: 5, through: 8 },
  ],
  [
    'a second record of a prune that leaves out what was cut away before',
    async ({ chain, store }) => {
      const facts = { from: 9, through: 12, hash: 'ab'.repeat(32) };
      const times = { checkpointAt: minute(8).toISOString(), before: minute(8).toISOString() };
      await store.audit.append(aRecord('audit.prune', { tenant: chain, facts: { ...facts, ...times } }));
    },
    { kind: 'beginning', seq: 17, through: 17 },
  ],
  [
    'a record of a prune where nothing was deleted',
    async ({ chain, store }) => {
      const facts = { from: 5, through: 8, hash: 'ab'.repeat(32) };
      const times = { checkpointAt: minute(8).toISOString(), before: minute(8).toISOString() };
      await store.audit.append(aRecord('audit.prune', { tenant: chain, facts: { ...facts, ...times } }));
    },
    { kind: 'beginning', seq: 5, through: 8 },
  ],
];

describe('behind a prune, verification finds', () => {
  for (const [what, tamper, found] of cases) {
    test(what, async (t) => {
      const made = await usePrunedChain(t);
      await tamper(made);
      const { fault } = await made.verify(made.chain, { keys: await made.signer.keys() });
      assert.ok(fault);
      assert.deepEqual({ kind: fault.kind, seq: fault.seq, through: fault.through }, found, fault.what);
    });
  }

  test('records that were deleted and put back', async (t) => {
    const made = await usePrunableChain(t, vault);
    const { chain, superuser, verify } = made;
    await asSuperuser(superuser, 'create table kept as select * from audit_log');
    await pruner(made.owner, whenOld(4)).run(caller, () => {});
    await asSuperuser(
      superuser,
      `insert into audit_log overriding system value select * from kept where chain = '${chain}' and seq <= 4`,
    );
    const { fault } = await verify(chain);
    assert.deepEqual([fault?.kind, fault?.seq, fault?.through], ['beginning', 1, 4]);
  });
});

test('a chain whose beginning is gone without any prune is found, also where nothing of it is left', async (t) => {
  const { chain, superuser, verify, signer } = await usePrunableChain(t, vault);
  const keys = await signer.keys();
  await asSuperuser(superuser, `delete from audit_log where chain = '${chain}' and seq <= 8`);
  const some = (await verify(chain, { keys })).fault;
  assert.deepEqual([some?.kind, some?.seq, some?.through], ['beginning', 1, 8]);
  assert.match(some?.what ?? '', /no record says that they were deleted by age: the beginning was cut away/);
  await asSuperuser(superuser, `delete from audit_log where chain = '${chain}'`);
  const all = (await verify(chain, { keys })).fault;
  assert.deepEqual([all?.kind, all?.seq, all?.through], ['beginning', 1, 12]);
});

test('a part that was asked for begins where it was asked to, and says so; one that is cut short by a prune says why', async (t) => {
  const { chain, linesOf } = await usePrunedChain(t);
  const part = await verifyExport(await linesOf(chain, 11));
  assert.deepEqual([part.fault, part.from, part.partFrom, part.pruned?.through], [undefined, 9, 11, 4]);
  const early = await verifyExport(await linesOf(chain, 2));
  assert.deepEqual([early.fault, early.from, early.partFrom, early.pruned?.through], [undefined, 5, 2, 4]);
});

test('an anchor of the very record that the rest begins behind is compared with it', async (t) => {
  const { chain, linesOf, signer } = await usePrunedChain(t);
  const lines = await linesOf(chain);
  const keys = await signer.keys();
  const fork = await signer.sign({ chain, seq: 4, hash: Buffer.alloc(32, 1), at: minute(4) });
  const { fault } = await verifyExport(lines, { keys, anchor: fork });
  assert.deepEqual([fault?.kind, fault?.seq, fault?.through], ['not_as_signed', 1, 4]);
});
