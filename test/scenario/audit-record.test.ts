/** What people and security-event systems see of the audit record, by the `broker` command. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { auditActions } from '../../broker/domain/audit-actions.ts';
import { useBroker } from '../support/broker.ts';
import { runHere, startCommand, useIdentity } from '../support/cli-process.ts';
import { codesIn, readDocument, tableOf } from '../support/documents.ts';
import { until } from '../support/poll.ts';
import type { Scope } from '../support/scope.ts';
import { createPerson } from '../support/vault-people.ts';
import { tenant, useWorld, type World } from '../support/world.ts';

interface Shown {
  readonly id: string;
  readonly seq: number;
  readonly action: string;
  readonly result: string;
  readonly caller: string;
  readonly channel: string | null;
  readonly facts: Readonly<Record<string, unknown>>;
}

async function useAuditWorld(t: Scope) {
  const auditors = `auditors-${Math.random().toString(36).slice(2)}`;
  const world = await useWorld(t, { settings: { BROKER_AUDITORS_GROUP: auditors } });
  const { transit } = world.vault.layout.mounts;
  const person = async (name: string, ...groups: readonly string[]) => {
    const somebody = await createPerson(world.vault, { name: `${name}-${transit}`, groups });
    return { ...somebody, env: await useIdentity(t, world.broker.publicUrl, await somebody.identityToken()) };
  };
  return { world, person, auditors, operators: `${transit}-operators` };
}

async function listed(env: NodeJS.ProcessEnv, ...filters: readonly string[]): Promise<readonly Shown[]> {
  const { stdout, stderr, exitCode } = await runHere(env, 'audit', 'list', '-o', 'json', ...filters);
  assert.equal(exitCode, 0, stderr);
  return (JSON.parse(stdout) as { records: Shown[] }).records;
}

describe('the audit record', () => {
  test('is shown to a tenant’s admins, to operators as the installation’s, to auditors as a whole; every look is on it', async (t) => {
    const { world, person, auditors, operators } = await useAuditWorld(t);
    const [auditor, operator, stranger] = await Promise.all([
      person('auditor', auditors),
      person('operator', operators),
      person('stranger'),
    ]);
    const admin = await useIdentity(t, world.broker.publicUrl, await world.admin.identityToken());
    await world.connectedChannel();

    const looks = [
      ['the admin', admin, ['--tenant', tenant], 'ok'],
      ['the auditor', auditor.env, ['--tenant', tenant], 'ok'],
      ['the auditor', auditor.env, [], 'ok'],
      ['an operator', operator.env, [], 'ok'],
      ['an operator', operator.env, ['--tenant', tenant], 'TENANT_NOT_FOUND'],
      ['a stranger', stranger.env, ['--tenant', tenant], 'TENANT_NOT_FOUND'],
      ['a stranger', stranger.env, [], 'ACCESS_DENIED'],
      ['the auditor', auditor.env, ['--tenant', 'nobody'], 'TENANT_NOT_FOUND'],
    ] as const;
    for (const [who, env, whose, expected] of looks) {
      const { exitCode, stderr } = await runHere(env, 'audit', 'list', ...whose);
      assert.equal(exitCode, expected === 'ok' ? 0 : 1, `${who} ${whose.join(' ')}: ${stderr}`);
      if (expected !== 'ok') assert.match(stderr, new RegExp(`\\[${expected}\\]`));
    }
    const ofTheTenant = await listed(admin, '--tenant', tenant, '--action', 'audit.list');
    const who = (subject: string, result: string) =>
      ofTheTenant.filter((one) => one.caller === subject && one.result === result).length;
    assert.equal(who(auditor.subject, 'ok'), 1);
    assert.equal(who(operator.subject, 'TENANT_NOT_FOUND'), 1);
    assert.equal(who(stranger.subject, 'TENANT_NOT_FOUND'), 1);
    const ofTheInstallation = await listed(auditor.env, '--action', 'audit.list');
    assert.ok(
      ofTheInstallation.some(({ caller, result }) => caller === stranger.subject && result === 'ACCESS_DENIED'),
    );
    assert.ok(ofTheInstallation.some(({ caller, result }) => caller === operator.subject && result === 'ok'));

    for (const path of ['/v1/channels', '/v1/tenants']) {
      const answer = await fetch(`${world.broker.publicUrl}${path}`, {
        headers: { authorization: `Bearer ${await auditor.identityToken()}` },
      });
      assert.deepEqual(Object.values((await answer.json()) as object), [[]], 'an auditor sees nothing else');
    }
  });

  test('can be filtered by channel, action, result, caller, request and time', async (t) => {
    const { world } = await useAuditWorld(t);
    const admin = await useIdentity(t, world.broker.publicUrl, await world.admin.identityToken());
    const one = await world.connectedChannel('one');
    const two = await world.connectedChannel('two');
    await world.google.advance(3_600_000);
    const later = new Date(world.google.now()).toISOString();
    await world.api('POST', `/v1/channels/${two}/consent-links`);
    const list = (...filters: readonly string[]) => listed(admin, '--tenant', tenant, ...filters);

    const ofOne = await list('--channel', one);
    assert.ok(ofOne.length >= 4 && ofOne.every(({ channel }) => channel === one));
    const completed = await list('--action', 'consent.complete', '--result', 'ok');
    assert.deepEqual(
      completed.map(({ channel }) => channel),
      [two, one],
    );
    assert.deepEqual(
      (await list('--since', later, '--caller', world.admin.subject, '--action', 'consent.invite')).length,
      1,
    );
    assert.ok((await list('--until', later, '--action', 'consent.invite')).every(({ channel }) => channel !== null));
    assert.deepEqual(await list('--request-id', 'nobodys'), []);
    const seqs = (await list('--before', '9', '--limit', '3')).map(({ seq }) => seq);
    assert.deepEqual(seqs, [8, 7, 6]);
  });

  test('has the reason that somebody gave for what they did', async (t) => {
    const { world } = await useAuditWorld(t);
    const admin = await useIdentity(t, world.broker.publicUrl, await world.admin.identityToken());
    const { id } = await world.addChannel();
    const reason = 'OPS-1234: Studio möchte neu verbinden';
    const { exitCode } = await runHere({ ...admin, BROKER_REASON: reason }, 'channel', 'consent-link', id);
    assert.equal(exitCode, 0);
    const [newest] = await listed(admin, '--tenant', tenant, '--action', 'consent.invite');
    assert.equal(newest?.facts.reason, reason);
  });

  test('is followed over a restart of the broker: no record is lost, none is doubled, Ctrl-C ends it with 0', async (t) => {
    const { world } = await useAuditWorld(t);
    const admin = await useIdentity(t, world.broker.publicUrl, await world.admin.identityToken());
    const following = startCommand(t, admin, 'audit', 'follow', '--tenant', tenant, '--after', '1');
    const cef = startCommand(t, admin, 'audit', 'follow', '--tenant', tenant, '--after', '1', '--format', 'cef');
    const seen = () => following.lines.map((line) => JSON.parse(line) as Shown);
    const before = await world.connectedChannel('before');
    await until('the first channel is followed', () =>
      seen().some(({ action, channel }) => action === 'consent.complete' && channel === before),
    );

    await world.broker.stop();
    await until('the outage is told', () => following.said.some((line) => line.includes('Trying again')));
    await restarted(t, world);
    const after = await world.connectedChannel('after');
    await until('the second channel is followed', () =>
      seen().some(({ action, channel }) => action === 'consent.complete' && channel === after),
    );
    await until('CEF has as many', () => cef.lines.length >= seen().length);
    assert.deepEqual(
      seen().map(({ seq }) => seq),
      seen().map((_, index) => index + 2),
    );
    assert.ok(cef.lines.every((line) => line.startsWith('CEF:0|youtube-token-broker|')));
    assert.equal(await following.interrupt(), 0);
    assert.equal(await cef.interrupt(), 0);
  });

  test('has no action and no fact that docs/audit.md does not have', async (t) => {
    const { world } = await useAuditWorld(t);
    const admin = await useIdentity(t, world.broker.publicUrl, await world.admin.identityToken());
    await world.connectedChannel();
    world.google.advance(3_600_000);
    await world.broker.refreshDue();
    world.google.faults.add({
      fault: { kind: 'error', error: 'invalid_grant' },
      where: { endpoint: 'token', grantType: 'refresh_token' },
      times: 'always',
    });
    world.google.advance(3_600_000);
    await world.broker.refreshDue();
    await fetch(`${world.broker.publicUrl}/consent/nothing`);

    const documented = new Map(
      tableOf(readDocument('docs/audit.md'), 'Actions').map(([action, , facts]) => [
        codesIn(action)[0],
        codesIn(facts),
      ]),
    );
    const records = [...(await listed(admin, '--tenant', tenant)), ...(await listed(admin))];
    assert.ok(new Set(records.map(({ action }) => action)).size > 10);
    for (const { action, facts } of records) {
      assert.ok(Object.hasOwn(auditActions, action));
      const known = ['detail', 'reason', ...(documented.get(action) ?? [])];
      assert.deepEqual(
        Object.keys(facts).filter((fact) => !known.includes(fact)),
        [],
        action,
      );
    }
  });
});

/** The same broker again, on the same address. */
async function restarted(scope: Scope, world: World): Promise<void> {
  const { vault, google, databaseUrl, redisUrl, broker } = world;
  const again = await useBroker(scope, {
    ...{ vault, google, databaseUrl, redisUrl },
    clock: { now: () => new Date(google.now()) },
    settings: {
      BROKER_OPERATORS_GROUP: `${vault.layout.mounts.transit}-operators`,
      BROKER_PUBLIC_URL: broker.publicUrl,
    },
  });
  assert.equal(again.publicUrl, broker.publicUrl);
}
