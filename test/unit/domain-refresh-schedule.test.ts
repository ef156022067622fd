import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isFreshEnough, isInUse, proofDueAt, refreshDueAt, retryAt } from '../../broker/domain/refresh-schedule.ts';

const born = new Date('2026-11-23T12:00:00Z');
const after = (seconds: number) => new Date(born.getTime() + seconds * 1000);
const seconds = (from: Date, to: Date) => (to.getTime() - from.getTime()) / 1000;

test('tokens of an hour are due between 45 and 58 percent of their life, spread evenly over the channels', () => {
  const dues = Array.from({ length: 2000 }, (_, n) => seconds(born, refreshDueAt(`ch_${n}`, born, after(3600))));
  assert.ok(Math.min(...dues) >= 0.45 * 3600 && Math.max(...dues) <= 0.58 * 3600);
  const quarters = [0, 0, 0, 0];
  for (const due of dues) {
    const quarter = Math.min(3, Math.floor(((due / 3600 - 0.45) / 0.13) * 4));
    quarters[quarter] = (quarters[quarter] ?? 0) + 1;
  }
  for (const count of quarters) assert.ok(count > 400 && count < 600, `uneven: ${quarters}`);
});

test('the due time depends on the channel and the token, not on when it is asked', () => {
  assert.deepEqual(refreshDueAt('ch_a', born, after(3600)), refreshDueAt('ch_a', born, after(3600)));
  assert.notDeepEqual(refreshDueAt('ch_a', born, after(3600)), refreshDueAt('ch_b', born, after(3600)));
});

test('the life that the answer names is believed: a token of five minutes is due within five minutes', () => {
  const due = refreshDueAt('ch_a', born, after(300));
  assert.ok(seconds(born, due) >= 135 && seconds(born, due) <= 174);
});

test('retries come later and later, up to a quarter of an hour', () => {
  const latest = (failures: number) => seconds(born, retryAt(born, failures, undefined, 1));
  assert.deepEqual([1, 2, 3, 4].map(latest), [5, 10, 20, 40]);
  assert.equal(latest(12), 900);
  assert.equal(latest(10_000), 900);
});

test('retries of many channels do not come together', () => {
  const early = seconds(born, retryAt(born, 8, undefined, 0));
  const late = seconds(born, retryAt(born, 8, undefined, 0.999));
  assert.ok(early < 10 && late > 600);
});

test('while a token lives, a retry comes when half of what is left of it has passed, at the latest', () => {
  const latest = (left: number, retryAfter?: number) =>
    seconds(born, retryAt(born, 12, retryAfter, 1, new Date(born.getTime() + left * 1000)));
  assert.deepEqual(
    [3600, 1200, 60, 6].map((left) => latest(left)),
    [900, 600, 30, 5],
  );
  assert.equal(latest(0), 900, 'there is nothing left to be in time for');
  assert.equal(latest(60, 120), 120, 'Retry-After is obeyed all the same');
});

test('a retry never comes before Retry-After', () => {
  assert.equal(seconds(born, retryAt(born, 1, 120, 0)), 120);
});

test('a token with enough life left is handed out, one with less is not', () => {
  const token = { expiresAt: after(3600), refreshedAt: born };
  assert.equal(isFreshEnough(token, after(3000), 360), true);
  assert.equal(isFreshEnough(token, after(3300), 360), false);
  assert.equal(isFreshEnough(token, after(3600), 0), false);
});

test('nobody can ask for more life than half of what a new token has, and refresh for ever', () => {
  const token = { expiresAt: after(3600), refreshedAt: born };
  assert.equal(isFreshEnough(token, after(60), 999_999), true);
  assert.equal(isFreshEnough(token, after(2000), 999_999), false);
});

test('proves a grant once a day, at a time of the day that is the channel’s own', () => {
  const day = 24 * 3_600_000;
  const now = new Date('2026-03-01T12:00:00Z');
  const times = Array.from({ length: 2000 }, (_, n) => {
    const first = proofDueAt(`ch_${n}`, now);
    assert.ok(first.getTime() - now.getTime() >= 3_600_000, 'not at once');
    assert.ok(first.getTime() - now.getTime() <= day + 3_600_000, 'within a day');
    // Proven a little late, it stays at its time; an outage of all does not bring them together.
    const next = proofDueAt(`ch_${n}`, new Date(first.getTime() + 20 * 60_000));
    assert.equal(next.getTime() - first.getTime(), day);
    return first.getTime();
  });
  const hours = new Map<number, number>();
  for (const at of times) hours.set(new Date(at).getUTCHours(), (hours.get(new Date(at).getUTCHours()) ?? 0) + 1);
  assert.equal(hours.size, 24);
  assert.ok(Math.max(...hours.values()) < 130, 'spread over the day');
});

test('a channel is in use for a time after it was used', () => {
  const now = new Date('2026-03-08T12:00:00Z');
  const week = 7 * 24 * 3_600_000;
  assert.equal(isInUse(undefined, now, week), false);
  assert.equal(isInUse(new Date('2026-03-01T12:00:00Z'), now, week), true);
  assert.equal(isInUse(new Date('2026-03-01T11:59:59Z'), now, week), false);
});

test('a server that gives tokens of a second is not asked in a loop', () => {
  const now = new Date('2026-03-08T12:00:00Z');
  assert.equal(refreshDueAt('ch_a', now, new Date(now.getTime() + 1_000)).getTime() - now.getTime(), 5_000);
});
