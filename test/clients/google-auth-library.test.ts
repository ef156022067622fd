/** Google's own Node library, unmodified and in a process of its own, against the sidecar, by both routes. */
import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { BrokerError } from '../../broker/errors.ts';
import { type Scope, useFolder } from '../support/scope.ts';
import { tokenFor } from '../support/token-server.ts';
import { failures, routes, useStages } from './stages.ts';
import { fileEnvironment, runWorker } from './worker.ts';

const TOKEN_PATH = '/computeMetadata/v1/instance/service-accounts/default/token';
const worker = join(import.meta.dirname, 'google-auth-library.ts');

const run = (environment: NodeJS.ProcessEnv, scopes: readonly string[] = []) =>
  runWorker<{ token?: string; error?: string; ms: number }>(process.execPath, [worker, ...scopes], environment);

/** How long workers stood still; printed, and no test of anything: it is their libraries' patience and this machine's. */
const stalls: string[] = [];

describe('Google’s Node library', { concurrency: 2 }, () => {
  const cleanups: (() => Promise<void>)[] = [];
  const scope: Scope = { after: (clean) => void cleanups.push(clean) };
  let stages: Awaited<ReturnType<typeof useStages>>;
  before(async () => {
    stages = await useStages(scope);
  });
  after(async () => {
    for (const clean of cleanups.reverse()) await clean();
  });

  test('gets the token of its channel from a metadata port in one request', async () => {
    const { channel, environment, requests, answer, brokerCalls } = stages.place('metadata port');
    const released = tokenFor(3_600);
    answer((call) => {
      assert.equal(call.channel, channel);
      return released;
    });
    assert.equal((await run(environment)).token, released.accessToken.reveal());
    assert.deepEqual(requests, [TOKEN_PATH]);
    assert.equal(brokerCalls(), 1);
  });

  test('gets it with scopes, which the broker hears of', async () => {
    const { environment, requests, answer } = stages.place('metadata port');
    let heard: readonly string[] = [];
    answer(({ scopes }) => {
      heard = scopes;
      return tokenFor(3_600);
    });
    assert.match((await run(environment, ['upload', 'readonly'])).token ?? '', /^ya29/);
    assert.deepEqual(requests, [`${TOKEN_PATH}?scopes=upload%2Creadonly`]);
    assert.deepEqual(heard, ['upload', 'readonly']);
  });

  test('finds a metadata port by itself where it is told the host alone', async () => {
    const { environment, requests } = stages.place('metadata port');
    const alone = { METADATA_SERVER_DETECTION: undefined, GOOGLE_CLOUD_PROJECT: undefined, PATH: '/nonexistent' };
    assert.match((await run({ ...environment, ...alone })).token ?? '', /^ya29/);
    assert.deepEqual(requests, ['/computeMetadata/v1/instance', '/computeMetadata/v1/project/project-id', TOKEN_PATH]);
  });

  test('gets the token of its channel by a credential file in one request', async () => {
    const { channel, environment, requests, answer } = stages.place('credential file');
    const released = tokenFor(3_600);
    answer(() => released);
    assert.equal((await run(environment, ['upload'])).token, released.accessToken.reveal());
    assert.deepEqual(requests, [`/v1/channels/${channel}/oauthtoken`]);
  });

  test('asks once with a credential file of an earlier start, and its user reads to start the worker again', async () => {
    const { environment, requests } = stages.place('credential file');
    const content = JSON.parse(await readFile(environment.GOOGLE_APPLICATION_CREDENTIALS ?? '', 'utf8')) as object;
    const old = join(await useFolder(scope), 'old.json');
    await writeFile(old, JSON.stringify({ ...content, client_secret: 'of an earlier start' }));
    const { error } = await run(fileEnvironment(old));
    assert.match(error ?? '', /invalid_client: LOCAL_SECRET_REFUSED: .* start the worker again/);
    assert.equal(requests.length, 1);
  });

  for (const route of routes) {
    for (const failure of failures.filter((each) => each.routes?.includes(route) ?? true))
      test(`asks a ${route} ${failure.passes ? 'four times' : 'once'} where ${failure.where}, and its user reads why`, async () => {
        const { environment, requests, brokerCalls } = stages.failingPlace(route, failure);
        const { error, ms } = await run(environment, failure.scopes);
        stalls.push(`${route}, ${failure.code}: its user reads why after ${ms} ms`);
        assert.match(error ?? '', new RegExp(`${failure.code}: [A-Z]`));
        assert.equal(requests.length, failure.passes ? 4 : 1);
        assert.ok(brokerCalls() <= 1, 'the broker is asked once at most');
      });

    test(`gets a token by a ${route} when it has passed`, async () => {
      const { environment, answer } = stages.place(route);
      answer(() => {
        throw new BrokerError('VAULT_SEALED');
      });
      assert.match((await run(environment)).error ?? '', /VAULT_SEALED: The key store is sealed\./);
      // The failure is still remembered for a moment: the library's own patience is enough.
      answer(() => tokenFor(3_600));
      assert.match((await run(environment)).token ?? '', /^ya29/);
    });
  }
});

test('tells how long a worker with Google’s Node library stands still in each failure', (t) => {
  for (const stall of stalls) t.diagnostic(stall);
  assert.ok(stalls.length > 0);
});
