/** Whether the worker is still there: real processes, of which one ends. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { type TestContext, test } from 'node:test';
import { gone, parsePresence } from '../../sidecar/worker/presence.ts';
import { atEnd } from '../support/scope.ts';

const never = new AbortController().signal;

async function useProcess(t: TestContext, uid?: number) {
  const child = spawn('sleep', ['600'], { stdio: 'ignore', ...(uid === undefined ? {} : { uid }) });
  await once(child, 'spawn');
  atEnd(t, () => void child.kill('SIGKILL'));
  return child;
}

test('reads whose end is waited for', () => {
  assert.deepEqual(parsePresence('pid:17'), { pid: 17 });
  assert.deepEqual(parsePresence('uid:0'), { uid: 0 });
  for (const wrong of ['pid:0', 'pid:', '17', 'uid:x', 'pid:1 ', 'gid:1'])
    assert.equal(parsePresence(wrong), undefined, wrong);
});

test('a process has gone when it has ended, and not before', async (t) => {
  const child = await useProcess(t);
  let isGone = false;
  const waiting = gone({ pid: child.pid ?? 0 }, never, { everyMs: 10 }).then(() => {
    isGone = true;
  });
  const other = await useProcess(t);
  other.kill('SIGKILL');
  await once(other, 'exit');
  assert.ok(!isGone);
  child.kill('SIGKILL');
  await waiting;
});

test('a process that is not there has gone', async (t) => {
  const child = await useProcess(t);
  child.kill('SIGKILL');
  await once(child, 'exit');
  await gone({ pid: child.pid ?? 0 }, never, { everyMs: 10 });
});

test('a user has gone when processes of theirs were there and no more are', {
  skip: process.getuid?.() === 0 ? false : 'only root can start processes of other users',
}, async (t) => {
  const uid = 54_321;
  const seen = Promise.withResolvers<void>();
  let isGone = false;
  const waiting = gone({ uid }, never, { everyMs: 10, onSeen: seen.resolve }).then(() => {
    isGone = true;
  });
  const child = await useProcess(t, uid);
  await seen.promise;
  const other = await useProcess(t, uid);
  child.kill('SIGKILL');
  await once(child, 'exit');
  assert.ok(!isGone);
  other.kill('SIGKILL');
  await waiting;
});

test('is not waited for any more when the sidecar stops for another reason', async (t) => {
  const child = await useProcess(t);
  const stopping = new AbortController();
  const waiting = gone({ pid: child.pid ?? 0 }, stopping.signal, { everyMs: 10 });
  stopping.abort();
  await assert.rejects(waiting, { name: 'AbortError' });
});
