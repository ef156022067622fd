import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import process from 'node:process';
import { createInterface } from 'node:readline';
import { describe, it, type TestContext } from 'node:test';
import type { Endpoints } from '../fake-google/openid.ts';
import { connectPracticeGoogle } from '../fake-google/remote.ts';
import { startPracticeGoogle } from '../fake-google/server.ts';
import { walkConsent } from '../fake-google/walk-consent.ts';
import { type PlainClient, redeemCode, refresh, startConsent } from '../support/plain-oauth-client.ts';
import { owner, usualRequest } from '../support/practice-world.ts';
import { atEnd } from '../support/scope.ts';

const main = new URL('../fake-google/main.ts', import.meta.url).pathname;
const redirectUri = 'http://127.0.0.1:1/callback';

async function spawnPracticeGoogle(t: TestContext, ...args: string[]) {
  const child: ChildProcess = spawn(process.execPath, [main, ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
  atEnd(t, () => child.kill('SIGKILL'));
  if (!child.stdout) throw new Error('the process has no output');
  const [line] = (await once(createInterface(child.stdout), 'line')) as [string];
  return { child, ...(JSON.parse(line) as { url: string; endpoints: Endpoints }) };
}

describe('the practice Google in another process', { concurrency: true }, () => {
  it('says in one line where it is, is driven by its controls, and stops on SIGTERM', async (t) => {
    const { child, url, endpoints } = await spawnPracticeGoogle(t);
    const remote = connectPracticeGoogle(url);
    assert.deepEqual(await remote.endpoints(), endpoints);
    await remote.addClient({ clientId: 'c', clientSecret: 's', redirectUris: [redirectUri] });
    await remote.addAccount({ email: owner.email, channels: [owner.personal, owner.brand] });

    const client: PlainClient = {
      authorizationEndpoint: endpoints.authorization,
      tokenEndpoint: endpoints.token,
      clientId: 'c',
      clientSecret: 's',
      redirectUri,
    };
    const { url: authorizationUrl, verifier } = startConsent(client, usualRequest);
    const callbackUrl = await walkConsent(authorizationUrl, { account: owner.email, channel: owner.brand.title });
    const { body } = await redeemCode(client, callbackUrl, verifier);

    await remote.addFault({ fault: { kind: 'html-403' }, where: { endpoint: 'token' } });
    assert.equal((await refresh(client, body.refresh_token)).status, 403);
    assert.equal((await refresh(client, body.refresh_token)).status, 200);
    await remote.expire(body.refresh_token ?? '');
    assert.equal((await refresh(client, body.refresh_token)).body.error, 'invalid_grant');
    assert.equal((await remote.counts()).byGrantType.refresh_token, 3);
    assert.equal((await remote.requestLog({ endpoint: 'token' })).length, 4);

    child.kill('SIGTERM');
    assert.deepEqual(await once(child, 'exit'), [0, null]);
    await assert.rejects(fetch(url), TypeError);
  });

  it('takes the issuer it is told', async (t) => {
    const { endpoints } = await spawnPracticeGoogle(t, '--issuer', 'https://accounts.google.com');
    assert.equal(endpoints.issuer, 'https://accounts.google.com');
  });
});

describe("the practice Google's controls", { concurrency: true }, () => {
  it('refuse an unknown action, an impossible wish, and anything a web page could post', async (t) => {
    const google = await startPracticeGoogle();
    atEnd(t, () => google.close());
    const post = (action: string, body: string, type = 'application/json') =>
      fetch(`${google.url}/__practice/${action}`, { method: 'POST', headers: { 'content-type': type }, body });
    const statuses = [
      (await post('launch', '[]')).status,
      (await post('toString', '[]')).status,
      (await post('expire', '["never issued"]')).status,
      (await post('advance', '[1]', 'text/plain')).status,
      (await post('advance', '[1]')).status,
    ];
    assert.deepEqual(statuses, [404, 404, 400, 415, 200]);
  });

  it('are neither counted nor subject to faults', async (t) => {
    const google = await startPracticeGoogle();
    atEnd(t, () => google.close());
    google.faults.add({ fault: { kind: 'reset' }, times: 'always' });
    await connectPracticeGoogle(google.url).now();
    assert.equal(google.counts.requests(), 0);
  });
});
