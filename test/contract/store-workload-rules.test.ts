/** Whom a rule names, in PostgreSQL as in identity/workload-pattern.ts; and what of it goes into the decision. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sql } from 'kysely';
import { namesWorkload } from '../../identity/workload-pattern.ts';
import { superuserUrl } from '../support/postgres.ts';
import { useConnection, useStore } from '../support/store.ts';
import { anActiveChannel, aRecord, fill, minute, start } from '../support/store-fixtures.ts';

const td = 'spiffe://example.org';
const ruleOf = (spiffeId: string, change: object = {}) => ({
  spiffeId,
  channel: 'ch_1',
  tenant: 'acme',
  reason: 'uploads',
  createdBy: 'alice',
  createdAt: start,
  ...change,
});
const denialOf = (subject: string, tenant?: string) => ({
  subject,
  tenant,
  reason: 'INC-1',
  createdBy: 'alice',
  createdAt: start,
});

test('a rule names whom it names everywhere: by look-up, for many at once, and in lists', async (t) => {
  const { store } = await useStore(t);
  await fill(store, anActiveChannel(), anActiveChannel({ id: 'ch_2', name: 'two' }));
  // An underscore stands for itself, not for any character.
  const patterns = ['/ns/video/*', '/ns/video/up', '/ns/*', '/ns/vi_eo/*'];
  const ids = ['/ns/video/up', '/ns/video/up/one', '/ns/video', '/ns/video2/up', '/ns/vi_eo/up', '/other/ns/video/up'];
  for (const pattern of patterns) {
    await store.workloadAccess.allow(ruleOf(td + pattern, { scopes: [pattern] }), aRecord('workload.allow'));
  }
  const all = ids.map((id) => td + id);
  const many = await store.workloadAccess.listFor(all, ['ch_1', 'ch_2', 'ch_none']);
  for (const id of all) {
    const named = patterns.filter((pattern) => namesWorkload(td + pattern, id)).toSorted();
    const [found, none] = await store.findReadable([
      { spiffeId: id, channel: 'ch_1' },
      { spiffeId: id, channel: 'ch_2' },
    ]);
    assert.deepEqual((found?.rules ?? []).flatMap(({ scopes }) => scopes ?? []).toSorted(), named, id);
    assert.deepEqual(none?.rules, [], 'another channel');
    const listed = await store.workloadAccess.list({ spiffeId: id });
    assert.deepEqual(listed.flatMap(({ scopes }) => scopes ?? []).toSorted(), named, id);
    const ofMany = many.filter(({ spiffeId }) => spiffeId === id);
    assert.deepEqual(ofMany.flatMap(({ scopes }) => scopes ?? []).toSorted(), named, id);
  }
});

test('terms come back as they were given, and a rule that is allowed again is replaced', async (t) => {
  const { store } = await useStore(t);
  await fill(store, anActiveChannel());
  const rule = ruleOf(`${td}/ns/up`, { scopes: ['upload'], expiresAt: minute(5), acceptsWiderToken: true });
  await store.workloadAccess.allow(rule, aRecord('workload.allow'));
  const ask = [{ spiffeId: rule.spiffeId, channel: 'ch_1' }];
  const terms = { scopes: ['upload'], expiresAt: minute(5), acceptsWiderToken: true };
  assert.deepEqual((await store.findReadable(ask))[0]?.rules, [terms]);
  assert.deepEqual(await store.workloadAccess.find(rule.spiffeId, 'ch_1'), rule);
  await store.workloadAccess.allow(ruleOf(rule.spiffeId), aRecord('workload.allow'));
  assert.deepEqual((await store.findReadable(ask))[0]?.rules, [{}]);
  await store.workloadAccess.remove(rule, aRecord('workload.remove'));
  assert.deepEqual((await store.findReadable(ask))[0]?.rules, []);
  await assert.rejects(store.workloadAccess.remove(rule, aRecord('workload.remove')), { code: 'STORE_CONFLICT' });
});

test('a tenant’s denial takes every rule of the tenant from the workload, and from no other', async (t) => {
  const { store } = await useStore(t);
  await fill(store, anActiveChannel());
  await store.workloadAccess.allow(ruleOf(`${td}/ns/*`), aRecord('workload.allow'));
  await store.workloadAccess.allow(ruleOf(`${td}/ns/up`), aRecord('workload.allow'));
  await store.workloadDenials.deny(denialOf(`${td}/ns/up`, 'acme'), aRecord('workload.deny'));
  await store.workloadDenials.deny(denialOf(`${td}/ns/two`, 'elsewhere'), aRecord('workload.deny'));
  const asks = ['up', 'two'].map((name) => ({ spiffeId: `${td}/ns/${name}`, channel: 'ch_1' }));
  assert.deepEqual(
    (await store.findReadable(asks)).map((found) => found?.rules.length),
    [0, 1],
  );
  const many = await store.workloadAccess.listFor(
    asks.map(({ spiffeId }) => spiffeId),
    ['ch_1'],
  );
  assert.deepEqual(
    many.map(({ spiffeId }) => spiffeId),
    [`${td}/ns/two`],
  );
  assert.deepEqual(await store.workloadDenials.subjects(), [], 'nobody is shut out of everything');
  await store.workloadDenials.deny(denialOf('0a:1b'), aRecord('workload.deny'));
  assert.deepEqual(await store.workloadDenials.subjects(), ['0a:1b']);
  await store.workloadDenials.lift({ subject: '0a:1b', tenant: undefined }, aRecord('workload.undeny'));
  assert.equal((await store.workloadDenials.list()).length, 2);
});

test('the database holds rules and denials to their form, whoever writes', async (t) => {
  const { store, url } = await useStore(t);
  await fill(store, anActiveChannel());
  const byHand = useConnection(t, superuserUrl(url));
  const violates = (constraint: string) => (error: Error) => new RegExp(constraint).test(String(error.cause));
  for (const name of [`${td}/*`, `${td}/a*`, `${td}/*/up`, `${td}/a/**`]) {
    const rule = sql`insert into workload_access (spiffe_id, channel, tenant, reason, created_by, created_at)
      values (${name}, 'ch_1', 'acme', '', 'x', now())`;
    await assert.rejects(
      byHand.run((db) => rule.execute(db)),
      violates('star_is_at_the_end'),
      name,
    );
  }
  for (const [subject, tenant] of [
    [`${td}/ns/*`, ''],
    ['0A:1B', ''],
    ['0a:1b', 'acme'],
    ['nonsense', ''],
  ]) {
    const denial = sql`insert into workload_denials (subject, tenant, reason, created_by, created_at)
      values (${subject}, ${tenant}, '', 'x', now())`;
    await assert.rejects(
      byHand.run((db) => denial.execute(db)),
      violates('subject_is_one'),
      subject,
    );
  }
});
