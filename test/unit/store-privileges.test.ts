/** What the running broker may do with each table is what its code does with it: no less, no more. */
import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { runtimePrivileges } from '../../broker/store/privileges.ts';
import { root } from '../support/documents.ts';

/** Run by the owner of the tables, or by a superuser. */
const notTheRunningBroker = ['broker/store/migrations/', 'broker/store/owner/', 'broker/store/roles.ts'];

const tables = Object.keys(runtimePrivileges).join('|');
const uses: readonly (readonly [privilege: string, pattern: RegExp])[] = [
  ['select', new RegExp(`(?:selectFrom|innerJoin|leftJoin)\\('(${tables})\\b|\\b(?:from|join) (${tables})\\b`, 'g')],
  ['insert', new RegExp(`insertInto\\('(${tables})'|\\binsert into (${tables})\\b`, 'g')],
  ['update', new RegExp(`updateTable\\('(${tables})'|\\bupdate (${tables})\\b`, 'g')],
  ['update', new RegExp(`(?:insertInto\\('(${tables})'|insert into (${tables})\\b)[^;]*?do ?update`, 'gi')],
  ['delete', new RegExp(`deleteFrom\\('(${tables})'|\\bdelete from (${tables})\\b`, 'g')],
];

test('the role of the running broker has the rights that its code uses, and no other', () => {
  const used = Object.fromEntries(Object.keys(runtimePrivileges).map((table) => [table, new Set<string>()]));
  const files = globSync('broker/store/**/*.ts', { cwd: root });
  for (const file of files.filter((name) => !notTheRunningBroker.some((place) => name.startsWith(place)))) {
    const source = readFileSync(join(root, file), 'utf8').replaceAll(/^ *(?:\/\/|\/?\*).*$/gm, '');
    for (const [privilege, pattern] of uses) {
      for (const [, built, written] of source.matchAll(pattern)) used[built ?? written ?? '']?.add(privilege);
    }
  }
  // Read by the name that is given to the migrator.
  used.schema_migrations?.add('select');
  // Written by the triggers on channels and workload_access.
  used.outbox?.add('insert');
  const listed = Object.entries(runtimePrivileges).map(([table, rights]) => [table, rights.toSorted()]);
  assert.deepEqual(
    Object.fromEntries(Object.entries(used).map(([table, rights]) => [table, [...rights].toSorted()])),
    Object.fromEntries(listed),
  );
});

test('no record of an act can be changed or deleted by the running broker', () => {
  assert.deepEqual(runtimePrivileges.audit_log, ['select', 'insert']);
});
