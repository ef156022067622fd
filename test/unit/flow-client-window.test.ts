/** How many refreshes of one OAuth client may run at a time: few, until Google answers. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createClientWindow } from '../../broker/flow/client-window.ts';

const at = (ms: number) => new Date(1_000_000 + ms);

test('few may run until Google answers, then one more with each answer, up to the most', () => {
  const window = createClientWindow({ least: 4, most: 9 });
  assert.equal(window.size(at(0)), 4);
  for (let answers = 1; answers <= 3; answers += 1) window.answered(at(100), 100);
  assert.equal(window.size(at(100)), 7);
  for (let answers = 1; answers <= 20; answers += 1) window.answered(at(200), 100);
  assert.equal(window.size(at(200)), 9);
});

test('where no answer comes for two seconds it is few again, also after it was many', () => {
  const window = createClientWindow({ least: 4, most: 40 });
  for (let answers = 1; answers <= 40; answers += 1) window.answered(at(0), 100);
  assert.equal(window.size(at(2_000)), 40);
  assert.equal(window.size(at(2_001)), 4, 'what was asked hangs, or nothing was asked');
  window.answered(at(3_000), 100);
  assert.equal(window.size(at(3_000)), 5, 'it begins anew');
});

test('a client that is slow, and answers, is waited for longer', () => {
  const window = createClientWindow({ least: 4, most: 40 });
  for (let answers = 1; answers <= 40; answers += 1) window.answered(at(0), 3_000);
  assert.equal(window.size(at(6_000)), 40);
  assert.equal(window.size(at(6_001)), 4);
});

test('a failure of the client halves it', () => {
  const window = createClientWindow({ least: 4, most: 40 });
  for (let answers = 1; answers <= 16; answers += 1) window.answered(at(0), 100);
  window.failed();
  assert.equal(window.size(at(1)), 10);
  for (let failures = 0; failures < 5; failures += 1) window.failed();
  assert.equal(window.size(at(1)), 4, 'never fewer than the least');
});
