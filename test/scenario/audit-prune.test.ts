/** The audit record of a running broker is pruned by the owner of its database: by hand, by cron, killed, and verified after. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { chmod, writeFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { sql } from 'kysely';
import { runCommand, runHere, startCommand, useIdentity } from '../support/cli-process.ts';
import { readDocument, root, sectionOf } from '../support/documents.ts';
import { until } from '../support/poll.ts';
import { ownerUrl, superuserUrl } from '../support/postgres.ts';
import { type Scope, useFolder } from '../support/scope.ts';
import { useConnection } from '../support/store.ts';
import { tenant, useWorld, type World } from '../support/world.ts';

const run = promisify(execFile);

/** A broker that has everything signed, and the environment of the database's owner, for whom everything is old. */
async function usePrunableWorld(t: Scope, channels: number) {
  const world = await useWorld(t, { settings: { BROKER_AUDIT_CHECKPOINT_RECORDS: '1' } });
  for (let n = 1; n <= channels; n++) {
    await world.addChannel(`channel-${n}`);
    await world.broker.checkpointDue();
  }
  const url = ownerUrl(world.databaseUrl);
  const env = { PATH: process.env.PATH, BROKER_MIGRATION_DATABASE_URL: url, BROKER_AUDIT_RETENTION: '1ms' };
  return { world, env };
}

/** Exports the tenant's record from the broker and verifies it elsewhere. */
async function verdictOf(t: Scope, world: World) {
  const env = await useIdentity(t, world.broker.publicUrl, await world.admin.identityToken());
  const file = join(await useFolder(t), 'acme.jsonl');
  const exported = await runHere(env, 'audit', 'export', '--tenant', tenant, '--out', file);
  assert.equal(exported.exitCode, 0, exported.stderr);
  const { exitCode, stdout, stderr } = await runCommand({ PATH: process.env.PATH }, 'audit', 'verify', file);
  assert.equal(exitCode, 0, stderr);
  return { stdout, stderr };
}

test('each command of the handbook, and its line for cron, prunes as it is written; what is left verifies', async (t) => {
  const { world, env } = await usePrunableWorld(t, 3);
  const folder = await useFolder(t);
  await writeFile(
    join(folder, 'broker'),
    `#!/bin/sh\nexec '${process.execPath}' '${join(root, 'broker/main.ts')}' "$@"\n`,
  );
  await chmod(join(folder, 'broker'), 0o755);
  const section = sectionOf(readDocument('docs/operating.md'), 'Retention of the audit record');
  const [, handbook = ''] = /^```sh\n([\s\S]*?)^```/m.exec(section) ?? [];
  // What differs from the handbook: the database, and what is old.
  const here = (text: string) =>
    text
      .replace(
        /BROKER_MIGRATION_DATABASE_URL=\S+/,
        `BROKER_MIGRATION_DATABASE_URL='${env.BROKER_MIGRATION_DATABASE_URL}'`,
      )
      .replace(/BROKER_AUDIT_RETENTION=\S+/, 'BROKER_AUDIT_RETENTION=1ms');
  const shell = { env: { PATH: `${folder}${delimiter}${process.env.PATH}` } };
  const { stdout, stderr } = await run('sh', ['-euc', here(handbook)], shell);
  assert.match(stdout, /^RECORD OF\s+RECORDS\s+FROM\s+TO\s+SIGNED$/m);
  assert.match(stdout, /^acme\s+\d+\s+1\s+\d+\s+\d{4}-/m);
  assert.match(stderr, /^(\d+) of \1 deleted\nDone\. Each audit chain says what\.$/m);

  const verdict = await verdictOf(t, world);
  assert.match(verdict.stdout, /^verdict +ok$/m);
  assert.match(verdict.stdout, /^deleted by age +up to \d+, recorded until .+ UTC; by record \d+ of .+ UTC$/m);
  assert.match(verdict.stderr, /compare it with how long records are to be kept/);

  const prunes = async () =>
    (await world.store.audit.list({ tenant, limit: 100 })).filter(({ action }) => action === 'audit.prune');
  const [first] = await prunes();
  await world.addChannel('later');
  await world.broker.checkpointDue();
  const [, settings = '', file = '', line = ''] =
    /^```sh\n[\s\S]*?^```[\s\S]*?^```ini\n([\s\S]*?)^```[\s\S]*?`(\/etc\/cron\.d\/[\w-]+)`[\s\S]*?^```cron\n(.+)\n```/m.exec(
      section,
    ) ?? [];
  const settingsFile = join(folder, 'prune.env');
  await writeFile(settingsFile, here(settings));
  const [, user, command = ''] = /^[\d*]+ [\d*]+ [\d*]+ [\d*]+ [\d*]+ (\S+) (.+)$/.exec(line) ?? [];
  assert.deepEqual([file, user], ['/etc/cron.d/token-broker', 'broker-owner']);
  const cron = await run('sh', ['-c', command.replace('/etc/token-broker/prune.env', settingsFile)], shell);
  assert.match(cron.stderr, /Done\./);
  assert.match((await verdictOf(t, world)).stdout, /^verdict +ok$/m);
  const [second, ...older] = await prunes();
  assert.deepEqual([second?.facts.from, older], [Number(first?.facts.through) + 1, []], 'the first one was old, too');
});

test('a prune that is killed in the middle of a batch or between two loses nothing, and the next one goes on', async (t) => {
  const { world, env } = await usePrunableWorld(t, 40);
  const count = async () => (await world.store.audit.list({ tenant, limit: 1_000 })).length;
  const before = await count();
  const superuser = useConnection(t, superuserUrl(world.databaseUrl));
  const small = { ...env, BROKER_AUDIT_PRUNE_BATCH: '1' };

  await superuser.transaction(async (trx) => {
    await sql`select from audit_chains where chain = ${tenant} for update`.execute(trx);
    const inTheMiddle = startCommand(t, small, 'audit', 'prune');
    await until('the rows are deleted and the record is not written', async () => {
      const { rows } = await superuser.run((db) =>
        sql`select from pg_stat_activity where application_name = 'token-broker audit prune' and wait_event_type = 'Lock'
          and query like '%audit_chains%' and datname = current_database()`.execute(db),
      );
      return rows.length > 0;
    });
    await inTheMiddle.kill();
  });
  assert.equal(await count(), before);

  const between = startCommand(t, small, 'audit', 'prune');
  await until('some batches are done', () => between.said.length >= 3);
  await between.kill();
  const verdict = await verdictOf(t, world);
  assert.match(verdict.stdout, /^verdict +ok$/m);
  const left = JSON.parse((await runCommand(env, 'audit', 'prune', '--dry-run', '-o', 'json')).stdout);
  assert.ok(left.due.some(({ chain, records }: { chain: string; records: number }) => chain === tenant && records > 1));

  const rest = await runCommand(env, 'audit', 'prune', '-o', 'json');
  assert.equal(rest.exitCode, 0, rest.stderr);
  const { pruned } = JSON.parse(rest.stdout) as { pruned: { chain: string | null; from: number }[] };
  assert.ok(Number(pruned.find(({ chain }) => chain === tenant)?.from) > 3);
  assert.match((await verdictOf(t, world)).stdout, /^verdict +ok$/m);
  await world.broker.checkpointDue();
  const ready = (await (await fetch(`${world.broker.operationsUrl}/readyz`)).json()) as { checks: { audit: string } };
  assert.equal(ready.checks.audit, 'ok');
});

test('the role of the broker may not, the record may be kept for ever, and an older database is refused', async (t) => {
  const { world, env } = await usePrunableWorld(t, 1);
  const asBroker = { PATH: env.PATH, DATABASE_URL: world.databaseUrl, BROKER_AUDIT_RETENTION: '1ms' };
  const refused = await runCommand(asBroker, 'audit', 'prune');
  assert.equal(refused.exitCode, 1);
  assert.match(
    refused.stderr,
    /the role "broker" may not delete from the audit record: run `broker audit prune` with the owner of the tables in BROKER_MIGRATION_DATABASE_URL/,
  );
  const forEver = await runCommand({ ...env, BROKER_AUDIT_RETENTION: '0' }, 'audit', 'prune', '--dry-run');
  assert.deepEqual(
    [forEver.exitCode, forEver.stdout, forEver.stderr],
    [0, '', 'The audit record is kept for ever (BROKER_AUDIT_RETENTION is 0).\n'],
  );
  const byDefault = { PATH: env.PATH, BROKER_MIGRATION_DATABASE_URL: env.BROKER_MIGRATION_DATABASE_URL };
  const { exitCode, stderr } = await runCommand(byDefault, 'audit', 'prune');
  assert.equal(exitCode, 0);
  assert.match(
    stderr,
    /^Nothing is to be deleted: nothing that Vault signed is from before \d{4}-\d\d-\d\d .+ UTC\.$/m,
  );

  const superuser = useConnection(t, superuserUrl(world.databaseUrl));
  await superuser.run((db) => sql`delete from schema_migrations where name = '0016-audit-prune'`.execute(db));
  assert.match((await runCommand(env, 'audit', 'prune')).stderr, /it lacks "0016-audit-prune"[\s\S]*broker migrate/);
});
