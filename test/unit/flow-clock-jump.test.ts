import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createClockJump } from '../../broker/flow/clock-jump.ts';

test('tells by how much the clock on the wall has jumped, once, in either direction', () => {
  let wall = 1_000_000;
  let counted = 50;
  const pass = (wallMs: number, countedMs = wallMs) => {
    wall += wallMs;
    counted += countedMs;
  };
  const jump = createClockJump({ wall: { now: () => new Date(wall) }, monotonicMs: () => counted });
  pass(5_000);
  assert.equal(jump(), 0);
  pass(3_605_000, 5_000);
  assert.equal(jump(), 3_600_000, 'the machine was suspended');
  pass(5_000);
  assert.equal(jump(), 0);
  pass(-115_000, 5_000);
  assert.equal(jump(), -120_000, 'the clock was set right');
  pass(5_900, 5_000);
  assert.equal(jump(), 0, 'a clock that is steered');
});
