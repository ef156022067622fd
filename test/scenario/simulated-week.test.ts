/**
 * A week in which everything fails once: Google, an OAuth client, Vault, Redis, PostgreSQL. The broker's clock moves from
 * due instant to due instant; `node --test test/scenario/simulated-week.test.ts` prints what became of it.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { refreshTokenHash } from '../../broker/domain/identifier.ts';
import { createTenantKeys } from '../../broker/vault/tenant-keys.ts';
import { runWeek, type Week } from '../support/simulated-week.ts';
import { monday, type WeekChannel, weekMs } from '../support/week-plan.ts';
import { aftermathMs, concerns, outageOf, reportOf, tableOf, type WeekReport } from '../support/week-report.ts';
import { tenant } from '../support/world.ts';

const hour = 3_600_000;

test('a simulated week of outages', { timeout: 300_000 }, async (t) => {
  const week = await runWeek(t);
  const report = await reportOf(t, week);
  for (const line of tableOf(week, report)) t.diagnostic(line);
  const of = ({ id }: WeekChannel) => report.refreshes.filter(({ channel }) => channel === id);
  const revoked = new Map(week.revocations.map((revocation) => [revocation.channel.id, revocation]));

  await t.test(
    'loses no credential: each stored refresh token opens, and lives at Google unless its owner revoked',
    async () => {
      const { mounts } = week.world.vault.layout;
      const keys = createTenantKeys({ vault: await week.world.vault.asBroker(), transit: mounts.transit });
      const live = new Set(week.world.google.liveRefreshTokens());
      for (const { id, account } of week.fleet) {
        const { grant } = await week.world.channel(id);
        assert.ok(grant, account);
        const context = { tenant, channel: id, generation: grant.generation };
        const token = await keys.decrypt(context, grant.refreshTokenEncrypted);
        assert.equal(refreshTokenHash(token), grant.refreshTokenHash, account);
        assert.equal(live.has(token.reveal()), !revoked.has(id), account);
      }
    },
  );

  await t.test('asks no owner for a new consent who has not revoked, and each who has exactly once', async () => {
    assert.equal(week.slips, 3, 'Google has called grants dead that were not');
    assert.deepEqual(
      report.changes.map(({ channel, state }) => `${channel} ${state}`).sort(),
      [...revoked.keys()].map((channel) => `${channel} needs_reconsent`).sort(),
    );
    for (const { channel, at } of report.changes) assert.ok(at > (revoked.get(channel)?.at ?? Infinity), channel);
    for (const channel of week.fleet) {
      const { state, grant } = await week.world.channel(channel.id);
      assert.equal(state, revoked.has(channel.id) ? 'needs_reconsent' : 'active', channel.account);
      assert.equal(revoked.has(channel.id) ? 0 : grant?.refreshFailures, 0, 'nothing is left of the failures');
    }
  });

  await t.test('finds each revocation when the channel is due, or when the outage is over in which it was', () => {
    for (const { channel, at } of week.revocations) {
      const found = report.changes.find((change) => change.channel === channel.id)?.at ?? Infinity;
      const during = week.outages.find((outage) => outage.from <= at && at < outage.to && concerns(outage, channel));
      const due = channel.inUse ? hour : 25 * hour;
      assert.ok(found <= Math.max(at, during?.to ?? 0) + due, `${channel.account} was found ${new Date(found)}`);
    }
  });

  await t.test(
    'tells of each revocation once, and of the one OAuth client that was in trouble, and of nothing else',
    async () => {
      const expected = [
        ...[...revoked.keys()].map((channel) => `channel.needs_reconsent ${channel}`),
        ...['oauth_client.incident archive', 'oauth_client.recovered archive'],
      ];
      assert.deepEqual(report.told.map(({ type, subject }) => `${type} ${subject}`).sort(), expected.sort());
      const { notifications } = await week.world.api<{ notifications: readonly { state: string }[] }>(
        'GET',
        '/v1/notifications',
      );
      assert.deepEqual(
        notifications.map(({ state }) => state),
        expected.map(() => 'delivered'),
      );
    },
  );

  await t.test('lets a token end only where the outage was longer than the rest of its life', () => {
    for (const gap of report.gaps) {
      const outage = outageOf(week, gap);
      assert.ok(outage, `the token of ${gap.channel.account} ended ${new Date(gap.from).toISOString()}`);
      assert.ok(
        gap.to <= outage.to + aftermathMs,
        `${gap.channel.account} came back ${new Date(gap.to).toISOString()}`,
      );
    }
    const names = new Set(report.gaps.map((gap) => outageOf(week, gap)?.name));
    const long = week.outages.filter(({ from, to, name }) => to - from > 25 * 60_000 && name !== 'Redis is lost');
    assert.deepEqual([...names].sort(), long.map(({ name }) => name).sort(), '25 minutes cost no token');
    for (const { id, account, inUse } of week.fleet) {
      if (!inUse || revoked.has(id)) continue;
      const last = report.refreshes.findLast(({ channel, expiresAt }) => channel === id && expiresAt !== undefined);
      assert.ok((last?.expiresAt ?? 0) > monday + weekMs, `${account} has a token at the end`);
    }
  });

  await t.test('proves the grants of idle channels once a day', () => {
    for (const channel of week.fleet.filter(({ id, inUse }) => !inUse && !revoked.has(id))) {
      const instants = of(channel)
        .filter(({ result }) => result === 'ok')
        .map(({ at }) => at);
      const days = channel.oauthClient === 'archive' ? 2 : 1;
      for (const [index, at] of [...instants, monday + weekMs].entries()) {
        const before = instants[index - 1] ?? monday;
        assert.ok(at - before <= days * 24 * hour + hour, `${channel.account} ${new Date(at).toISOString()}`);
      }
      assert.ok(instants.length <= 9, `${channel.account} was refreshed ${instants.length} times`);
    }
  });

  await t.test('answers each read of a token that lives, whatever is away', () => answersReads(week, report));

  await t.test('fails only in outages, and there as what they are', () => {
    const classes = new Map([
      ['Google answers 503', 'unavailable'],
      ['`invalid_client` for `archive`', 'client_rejected'],
      ['Google answers 429', 'rate_limited'],
      ['Vault is sealed', 'broker_fault'],
      ['Google resets connections', 'unavailable'],
    ]);
    const failed = report.refreshes.filter(({ result }) => result !== 'ok' && result !== 'grant_dead');
    const found = failed.map(({ at, result }) => {
      const outage = week.outages.find(({ from, to }) => from <= at && at <= to);
      return `${outage?.name}: ${result}`;
    });
    assert.deepEqual(
      [...new Set(found)],
      [...classes].map(([name, result]) => `${name}: ${result}`),
    );
  });
});

function answersReads({ reads, fleet }: Week, { refreshes, changes }: WeekReport): void {
  for (const { at, channel, told } of reads) {
    const newest = refreshes.findLast((one) => one.channel === channel && one.expiresAt !== undefined && one.at <= at);
    // The read itself may have found it: a pause before the second question moves the clock.
    const isOver = changes.some((change) => change.channel === channel && change.at <= at + 5_000);
    if (isOver || (newest?.expiresAt ?? 0) <= at + 10_000) continue;
    const { account } = fleet.find(({ id }) => id === channel) ?? assert.fail();
    assert.equal(typeof told, 'number', `${account} was told ${told} ${new Date(at).toISOString()}`);
    assert.ok(Number(told) > at);
  }
  assert.ok(reads.length > 200);
}
