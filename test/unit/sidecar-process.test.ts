/** How the sidecar's process keeps its memory to itself, as far as that can be seen without one. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { harmlessFactsOf, onCrash } from '../../sidecar/process/crash.ts';
import { refusedOptions } from '../../sidecar/process/refused-options.ts';

for (const option of [
  '--inspect',
  '--inspect-brk=127.0.0.1:0',
  '--inspect_wait',
  '--debug-port=1',
  '--heapsnapshot-signal=SIGUSR2',
  '--heapsnapshot_near_heap_limit=3',
  '--heap-prof',
  '--report-on-signal',
  '--report-uncaught-exception',
  '--report_on_fatalerror',
  '--abort-on-uncaught-exception',
  '--tls-keylog=/tmp/keys',
  '--tls_keylog=/tmp/keys',
  '--trace-tls',
]) {
  test(`refuses ${option}, on the command line and in NODE_OPTIONS`, () => {
    assert.equal(refusedOptions([option], {}).length, 1);
    assert.equal(refusedOptions([], { NODE_OPTIONS: `--no-warnings "${option}"` }).length, 1);
  });
}

test('refuses what prints headers', () => {
  assert.deepEqual(refusedOptions([], { NODE_DEBUG: 'http' }), ['NODE_DEBUG is set: it prints headers with secrets']);
});

test('leaves every other option alone', () => {
  const harmless = ['--max-old-space-size=64', '--disable-sigusr1', '--no-warnings', '--import', './trace.mjs'];
  assert.deepEqual(refusedOptions(harmless, { NODE_OPTIONS: harmless.join(' '), NODE_DEBUG: '' }), []);
});

test('tells of an error where it was thrown and nothing that it says', () => {
  const error = Object.assign(new TypeError(`ya29.canary\n    at x (${import.meta.url}/ya29.canary:1:1)`), {
    code: 'ERR_ODD',
    token: 'ya29.canary',
  });
  const facts = harmlessFactsOf(error);
  assert.equal(facts.kind, 'TypeError');
  assert.equal(facts.code, 'ERR_ODD');
  assert.match(facts.at, /sidecar-process\.test\.ts:\d+:\d+/);
  assert.ok(!JSON.stringify(facts).includes('canary'), JSON.stringify(facts));
});

test('tells nothing of what was thrown and is no error, or is named or coded by a secret', () => {
  assert.deepEqual(harmlessFactsOf('ya29.canary'), { kind: 'string', at: 'unknown' });
  const odd = Object.assign(new Error('x'), { name: 'ya29.canary', code: 'ya29.canary', stack: 'ya29.canary' });
  assert.deepEqual(harmlessFactsOf(odd), { kind: 'Error', at: 'unknown' });
});

test('ends the process on an error that nobody caught, with its facts in the log', () => {
  const handlers = new Map<string | symbol, (error: unknown) => void>();
  const told: unknown[] = [];
  let ended = 0;
  const own = { on: (name: string | symbol, handler: (error: unknown) => void) => handlers.set(name, handler) };
  const log = {
    info: () => {},
    warn: () => {},
    error: (facts: unknown, message: string) => void told.push(facts, message),
  };
  onCrash(own as unknown as NodeJS.Process, log, () => {
    ended += 1;
  });
  handlers.get('uncaughtException')?.(new Error('ya29.canary'));
  assert.equal(ended, 1);
  assert.ok(!JSON.stringify(told).includes('canary'));
});
