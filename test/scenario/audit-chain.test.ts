/** A database put back to what it was: found by the running broker, told to operators, accepted by one, on record. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { sql } from 'kysely';
import { installationChain } from '../../broker/domain/audit-chain.ts';
import { auditOf } from '../support/audit.ts';
import { runCommand, useIdentity } from '../support/cli-process.ts';
import { superuserUrl } from '../support/postgres.ts';
import { useConnection } from '../support/store.ts';
import { createPerson } from '../support/vault-people.ts';
import { tenant, useWorld, type World } from '../support/world.ts';

const everyRecord = { BROKER_AUDIT_CHECKPOINT_RECORDS: '1' };

async function ready(
  world: World,
): Promise<{ status: number; body: { status: string; checks: Record<string, string> } }> {
  const response = await fetch(`${world.broker.operationsUrl}/readyz`);
  return { status: response.status, body: (await response.json()) as never };
}

async function brokenMetric(world: World): Promise<string | undefined> {
  const text = await (await fetch(`${world.broker.operationsUrl}/metrics`)).text();
  return text.split('\n').find((line) => line.startsWith(`token_broker_audit_chain_broken{chain="${tenant}"}`));
}

/** Takes the newest records back, as a restored backup would: rows, head and checkpoints. */
async function putBack(
  world: World,
  t: Parameters<typeof useWorld>[0],
  records: number,
  chain: string = tenant,
): Promise<void> {
  const superuser = useConnection(t, superuserUrl(world.databaseUrl));
  await superuser.transaction(async (trx) => {
    for (const table of ['audit_log', 'audit_chains', 'audit_checkpoints']) {
      await sql.raw(`alter table ${table} disable trigger all`).execute(trx);
    }
    const newest = sql`(select seq from audit_chains where chain = ${chain}) - ${records}::int`;
    await sql`delete from audit_checkpoints where chain = ${chain} and seq > ${newest}`.execute(trx);
    await sql`delete from audit_log where chain = ${chain} and seq > ${newest}`.execute(trx);
    await sql`update audit_chains set (seq, hash) = (
        select seq, hash from audit_log where chain = ${chain} order by seq desc limit 1
      ) where chain = ${chain}`.execute(trx);
  });
}

describe('the audit chain', () => {
  test('of a running broker verifies, with the installation’s, and is signed to its end', async (t) => {
    const world = await useWorld(t, { settings: everyRecord });
    await world.connectedChannel();
    await world.broker.checkpointDue();
    const audit = await auditOf(t, world.vault, world.store);
    for (const chain of [tenant, installationChain]) {
      const anchor = (await audit.anchors.find(chain))?.checkpoint;
      assert.ok(anchor);
      const verdict = await audit.verify(chain, { keys: await audit.signer.keys(), anchor });
      assert.deepEqual([verdict.fault, verdict.signedTo, verdict.from], [undefined, verdict.to, 1]);
    }
    assert.equal((await ready(world)).body.checks.audit, 'ok');
    assert.match((await brokenMetric(world)) ?? '', / 0$/);
  });

  test('that was put back is told, served on, and signed again once an operator has accepted it', async (t) => {
    const world = await useWorld(t, { settings: everyRecord });
    await world.connectedChannel();
    await world.broker.checkpointDue();
    const audit = await auditOf(t, world.vault, world.store);
    const before = (await audit.anchors.find(tenant))?.checkpoint;
    assert.ok(before);

    await putBack(world, t, 2);
    await world.addChannel('second');
    await world.broker.checkpointDue();
    assert.deepEqual((await audit.anchors.find(tenant))?.checkpoint, before, 'the anchor is not lowered');
    const told = await ready(world);
    assert.deepEqual([told.status, told.body.status, told.body.checks.audit], [200, 'degraded', 'AUDIT_CHAIN_BROKEN']);
    assert.match((await brokenMetric(world)) ?? '', / 1$/);
    assert.ok(world.broker.log.some((line) => line.includes('not what Vault holds signed of it')));
    assert.ok((await audit.verify(tenant)).fault);

    const env = await useIdentity(t, world.broker.publicUrl, await world.admin.identityToken());
    const why = 'disk lost, backup restored';
    const accepted = await runCommand(env, 'audit', 'accept-restore', '--tenant', tenant, '--reason', why);
    assert.equal(accepted.exitCode, 0, accepted.stderr);
    await world.broker.checkpointDue();
    assert.equal((await ready(world)).body.checks.audit, 'ok');
    assert.match((await brokenMetric(world)) ?? '', / 0$/);
    const verdict = await audit.verify(tenant);
    assert.deepEqual([verdict.fault, verdict.signedTo], [undefined, verdict.to]);

    const [record] = (await world.store.audit.list({ tenant, limit: 20 })).filter(
      ({ action }) => action === 'audit.accept-restore',
    );
    assert.equal(record?.result, 'ok');
    assert.equal(record.facts.reason, why);
    assert.deepEqual([record.facts.anchoredSeq, record.facts.anchoredHash], [before.seq, before.hash.toString('hex')]);

    const again = await runCommand(env, 'audit', 'accept-restore', '--tenant', tenant, '--reason', why);
    assert.match(again.stderr, /no restore to accept/);
    const nobodys = await runCommand(env, 'audit', 'accept-restore', '--reason', why);
    assert.match(nobodys.stderr, /--tenant NAME or --installation/);
  });

  test('of the installation that was put back is accepted by an operator alone, and is whole again', async (t) => {
    const world = await useWorld(t, { settings: everyRecord });
    await world.broker.checkpointDue();
    const audit = await auditOf(t, world.vault, world.store);
    const before = (await audit.anchors.find(installationChain))?.checkpoint;
    assert.ok(before);
    await putBack(world, t, 1, installationChain);
    await world.broker.checkpointDue();
    assert.equal((await ready(world)).body.checks.audit, 'AUDIT_CHAIN_BROKEN');

    const auditor = await createPerson(world.vault, { name: `max-${world.vault.layout.mounts.transit}`, groups: [] });
    const restore = ['audit', 'accept-restore', '--installation', '--reason', 'backup restored'];
    const nobody = await useIdentity(t, world.broker.publicUrl, await auditor.identityToken());
    assert.match((await runCommand(nobody, ...restore)).stderr, /ACCESS_DENIED/);
    assert.deepEqual((await audit.anchors.find(installationChain))?.checkpoint, before, 'the anchor is not lowered');

    const operator = await useIdentity(t, world.broker.publicUrl, await world.admin.identityToken());
    const accepted = await runCommand(operator, ...restore);
    assert.equal(accepted.exitCode, 0, accepted.stderr);
    await world.broker.checkpointDue();
    assert.equal((await ready(world)).body.checks.audit, 'ok');
    const verdict = await audit.verify(installationChain);
    assert.deepEqual([verdict.fault, verdict.signedTo], [undefined, verdict.to]);
    const records = await world.store.audit.list({ limit: 20 });
    const acts = records.filter(({ action }) => action === 'audit.accept-restore').toReversed();
    assert.deepEqual(
      acts.map(({ result, tenant: of, facts }) => [result, of, facts.anchoredSeq]),
      [
        ['ACCESS_DENIED', undefined, undefined],
        ['ok', undefined, before.seq],
      ],
    );
  });
});
