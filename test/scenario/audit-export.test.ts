/** An auditor's day: export a record while it is being written, take the keys from Vault, verify it elsewhere. */
import assert from 'node:assert/strict';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import pg from 'pg';
import { z } from 'zod';
import { runCommand, runHere, useIdentity } from '../support/cli-process.ts';
import { superuserUrl } from '../support/postgres.ts';
import { useFolder } from '../support/scope.ts';
import { tenant, useWorld, type World } from '../support/world.ts';

/** The environment of a machine that has neither broker nor Vault. */
const elsewhere = { PATH: process.env.PATH };

const whole = ['audit', 'export', '--tenant', tenant];

async function exported(world: World, env: NodeJS.ProcessEnv, folder: string, ...options: string[]): Promise<string> {
  const file = join(folder, `export-${(await readdir(folder)).length}.jsonl`);
  const { exitCode, stderr } = await runHere(env, ...whole, '--out', file, ...options);
  assert.equal(exitCode, 0, stderr);
  await world.broker.checkpointDue();
  return file;
}

test('a record is exported while it is being written, and verified without broker, database and Vault', async (t) => {
  const world = await useWorld(t);
  const env = await useIdentity(t, world.broker.publicUrl, await world.admin.identityToken());
  const folder = await useFolder(t);
  await world.connectedChannel('first');
  await world.broker.checkpointDue();

  let writing = true;
  const written = (async () => {
    for (let n = 0; writing; n += 1) await world.addChannel(`while-${n}`);
  })();
  const files: string[] = [];
  for (let n = 0; n < 3; n += 1) files.push(await exported(world, env, folder));
  writing = false;
  await written;
  assert.ok(
    (await readdir(folder)).every((name) => name.endsWith('.jsonl')),
    'no file that is not whole is left',
  );

  const { transit } = world.vault.layout.mounts;
  const keys = await world.vault.operator.read(`${transit}/keys/audit-checkpoint`, z.looseObject({}));
  const keyFile = join(folder, 'key.json');
  await writeFile(keyFile, JSON.stringify({ data: keys }));
  let records = 0;
  for (const file of files) {
    const { exitCode, stdout, stderr } = await runCommand(
      elsewhere,
      ...['audit', 'verify', file, '--public-key', keyFile, '-o', 'json'],
    );
    assert.equal(exitCode, 0, stderr);
    const verdict = JSON.parse(stdout) as { records: number; signedTo: number; keysFrom: string; chain: string };
    assert.equal(verdict.chain, tenant);
    assert.equal(verdict.keysFrom, 'auditor');
    assert.ok(verdict.records > records, 'each export holds more');
    records = verdict.records;
    assert.ok(verdict.signedTo >= 4);
  }
  const piped = await runHere(env, ...whole);
  await writeFile(join(folder, 'piped.jsonl'), piped.stdout);
  assert.equal((await runCommand(elsewhere, 'audit', 'verify', join(folder, 'piped.jsonl'))).exitCode, 0);
});

test('what a superuser changed in the database is found by its first record', async (t) => {
  const world = await useWorld(t);
  const env = await useIdentity(t, world.broker.publicUrl, await world.admin.identityToken());
  const folder = await useFolder(t);
  await world.connectedChannel();
  await world.broker.checkpointDue();
  const good = await exported(world, env, folder);
  assert.equal((await runCommand(elsewhere, 'audit', 'verify', good)).exitCode, 0);

  const superuser = new pg.Client({ connectionString: superuserUrl(world.databaseUrl) });
  await superuser.connect();
  await superuser.query('alter table audit_log disable trigger all');
  await superuser.query("update audit_log set caller = 'mallory' where chain = $1 and seq = 3", [tenant]);
  await superuser.end();
  const { exitCode, stdout, stderr } = await runCommand(
    elsewhere,
    ...['audit', 'verify', await exported(world, env, folder)],
  );
  assert.equal(exitCode, 1);
  assert.match(stdout, /^first bad record +3$/m);
  assert.match(stderr, /\[AUDIT_CONTENT\]/);
});

test('some of a record goes to another system: filtered, as CEF and as OCSF', async (t) => {
  const world = await useWorld(t);
  const env = await useIdentity(t, world.broker.publicUrl, await world.admin.identityToken());
  const folder = await useFolder(t);
  await world.connectedChannel();
  const cef = await readFile(await exported(world, env, folder, '--format', 'cef'), 'utf8');
  const ocsf = await readFile(await exported(world, env, folder, '--format', 'ocsf'), 'utf8');
  const only = await readFile(await exported(world, env, folder, '--action', 'consent.complete'), 'utf8');
  assert.ok(cef.split('\n').length > 5);
  for (const line of cef.trim().split('\n')) assert.match(line, /^CEF:0\|youtube-token-broker\|/);
  for (const line of ocsf.trim().split('\n')) assert.equal(JSON.parse(line).metadata.version, '1.9.0');
  const actions = only
    .trim()
    .split('\n')
    .map((line) => (JSON.parse(line) as { action: string }).action);
  assert.deepEqual(actions, ['consent.complete']);
});
