/** The `sidecar` command as an operator runs it. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';
import { after, test } from 'node:test';
import { atEnd, type Scope } from '../support/scope.ts';
import { isReady, readToken, sidecarEnvironment, sidecarMain } from '../support/sidecar.ts';
import { tokenFor, useTokenServer } from '../support/token-server.ts';
import { useSetUpVault } from '../support/vault-set-up.ts';

const vault = await useSetUpVault({ after });

/** Runs the command with this environment and nothing of ours; it is gone after the scope. */
function run(scope: Scope, environment: Record<string, string>) {
  const child = spawn(process.execPath, [sidecarMain, 'run'], { env: environment, stdio: ['ignore', 'pipe', 'pipe'] });
  atEnd(scope, async () => {
    if (child.exitCode === null && child.signalCode === null && child.kill('SIGKILL')) await once(child, 'exit');
  });
  return child;
}

/** Collects the lines of the log, and resolves `listening` with the line that names the addresses. */
function follow({ stdout }: ChildProcess) {
  assert.ok(stdout);
  const lines: string[] = [];
  const listening = new Promise<Record<string, string>>((resolve) => {
    createInterface({ input: stdout }).on('line', (line) => {
      lines.push(line);
      const facts = JSON.parse(line) as Record<string, string>;
      if (facts.msg === 'the sidecar is listening') resolve(facts);
    });
  });
  return { lines, listening };
}

test('serves tokens until SIGTERM, then ends with 0 and leaves no secret in its log', async (t) => {
  const broker = await useTokenServer(t, vault);
  const released = tokenFor(3_600);
  broker.answer(() => released);
  const settings = { SIDECAR_GCE_CHANNELS: 'ch_a=0' };
  const child = run(t, await sidecarEnvironment(t, { vault, broker: broker.address, settings }));
  const exited = once(child, 'exit');
  const { lines, listening } = follow(child);
  const { url = '', operationsUrl = '', ch_a = '' } = await listening;

  await isReady({ operationsUrl });
  const token = released.accessToken.reveal();
  assert.equal((await readToken({ url }, 'ch_a')).body.access_token, token);
  const gce = await fetch(`${ch_a}/computeMetadata/v1/instance/service-accounts/default/token`, {
    headers: { 'Metadata-Flavor': 'Google' },
  });
  assert.equal(((await gce.json()) as { access_token: string }).access_token, token);

  child.kill('SIGTERM');
  assert.deepEqual(await exited, [0, null]);
  await assert.rejects(fetch(url));
  assert.ok(lines.length >= 4);
  assert.ok(!lines.join('\n').includes(token));
});

test('says all that is wrong with its settings in sentences, and ends with 2', async (t) => {
  const child = run(t, { SIDECAR_LISTEN: '0.0.0.0:7070', SIDECAR_TYPO: '1' });
  const [errors, [code]] = await Promise.all([text(child.stderr), once(child, 'exit')]);
  assert.equal(code, 2);
  assert.match(errors, /^error: the settings are not right \[CONFIG_INVALID\]$/m);
  assert.match(errors, /^ {2}- SIDECAR_BROKER_ADDR is not set$/m);
  assert.match(errors, /^ {2}- SIDECAR_LISTEN is not a loopback address/m);
  assert.match(errors, /^ {2}- SIDECAR_TYPO is not a setting of the sidecar$/m);
  assert.doesNotMatch(errors, / at /);
});

test('says which address is taken, and ends with 1', async (t) => {
  const broker = await useTokenServer(t, vault);
  const environment = await sidecarEnvironment(t, { vault, broker: broker.address });
  const child = run(t, { ...environment, SIDECAR_OPERATIONS_LISTEN: broker.address });
  const [errors, [code]] = await Promise.all([text(child.stderr), once(child, 'exit')]);
  assert.equal(code, 1);
  assert.match(errors, new RegExp(`^error: cannot listen on ${broker.address}: another program has it`));
});
