/** Google's own Python library, unmodified and in a process of its own, against the sidecar, by both routes. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { executableOf, pythonEnvironment, requires } from '../support/requires.ts';
import type { Scope } from '../support/scope.ts';
import { tokenFor } from '../support/token-server.ts';
import { failures, type Route, routes, useStages } from './stages.ts';
import { runWorker } from './worker.ts';

const ROOT = '/computeMetadata/v1';
const ACCOUNTS = `${ROOT}/instance/service-accounts`;
const worker = join(import.meta.dirname, 'google_auth.py');
const needs = requires('python-google-auth');

interface Result {
  readonly tokens?: readonly string[];
  readonly authorization?: string;
  readonly email?: string;
  readonly error?: string;
  readonly ms: number;
}

const run = (environment: NodeJS.ProcessEnv, times: number, scopes: readonly string[] = []) =>
  runWorker<Result>(executableOf('python-google-auth'), [worker, String(times), ...scopes], {
    ...environment,
    ...pythonEnvironment,
  });

/** How often it asks for the account or the token, where it is refused. */
function triesOf(route: Route, passes: boolean, code: string): number {
  // The account, which all may see, and then the token.
  if (code === 'SCOPE_NOT_GRANTED') return 2;
  return passes && route === 'metadata port' ? 5 : 1;
}

/** How long workers stood still; printed, and no test of anything: it is their libraries' patience and this machine's. */
const stalls: string[] = [];

describe('Google’s Python library', { ...needs, concurrency: 4 }, () => {
  const cleanups: (() => Promise<void>)[] = [];
  const scope: Scope = { after: (clean) => void cleanups.push(clean) };
  let stages: Awaited<ReturnType<typeof useStages>>;
  before(async () => {
    if (needs.skip === undefined) stages = await useStages(scope);
  });
  after(async () => {
    for (const clean of cleanups.reverse()) await clean();
  });

  test('gets the token of its channel from a metadata port, with the calls that it always makes', needs, async () => {
    const { channel, environment, requests, answer, brokerCalls } = stages.place('metadata port');
    const released = tokenFor(3_600);
    answer(() => released);
    const token = released.accessToken.reveal();
    const email = `${channel}@media.example`;
    const { ms, ...result } = await run(environment, 2, ['upload']);
    assert.deepEqual(result, { tokens: [token, token], authorization: `Bearer ${token}`, email });
    assert.deepEqual(requests, [
      '/',
      `${ROOT}/project/project-id`,
      `${ACCOUNTS}/default/?recursive=true`,
      `${ACCOUNTS}/default/token?scopes=upload`,
      `${ROOT}/universe/universe-domain`,
      `${ACCOUNTS}/${email}/?recursive=true`,
      `${ACCOUNTS}/default/token?scopes=upload`,
    ]);
    assert.equal(brokerCalls(), 1);
  });

  test('takes the scopes of the channel where it names none', needs, async () => {
    const { environment, requests } = stages.place('metadata port');
    assert.match((await run(environment, 1)).tokens?.[0] ?? '', /^ya29/);
    assert.ok(requests.includes(`${ACCOUNTS}/default/token?scopes=upload%2Creadonly`));
  });

  test('gets the token of its channel by a credential file, with one call for each refresh', needs, async () => {
    const { channel, environment, requests, answer, brokerCalls } = stages.place('credential file');
    const released = tokenFor(3_600);
    answer(() => released);
    const token = released.accessToken.reveal();
    const { tokens, authorization } = await run(environment, 2, ['upload']);
    assert.deepEqual([tokens, authorization], [[token, token], `Bearer ${token}`]);
    const path = `/v1/channels/${channel}/oauthtoken`;
    assert.deepEqual(requests, [path, path]);
    assert.equal(brokerCalls(), 1);
  });

  for (const route of routes)
    for (const failure of failures.filter((each) => each.routes?.includes(route) ?? true)) {
      const tries = triesOf(route, failure.passes, failure.code);
      test(`asks a ${route} so often as ${tries} where ${failure.where}, and its user reads why`, needs, async () => {
        const { environment, requests, brokerCalls } = stages.failingPlace(route, failure);
        const { error, ms } = await run(environment, 1, failure.scopes ?? ['upload']);
        stalls.push(`${route}, ${failure.code}: its user reads why after ${ms} ms`);
        assert.match(error ?? '', new RegExp(`${failure.code}: [A-Z]`));
        const asked = requests.filter((path) => path.startsWith(ACCOUNTS) || path.endsWith('/oauthtoken'));
        assert.equal(asked.length, tries);
        assert.ok(brokerCalls() <= 2);
      });
    }
});

test('tells how long a worker with Google’s Python library stands still in each failure', needs, (t) => {
  for (const stall of stalls) t.diagnostic(stall);
  assert.ok(stalls.length > 0);
});
