/** The pages by which an owner disconnects a channel. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { linkToken } from '../support/fake-flows.ts';
import { plan } from '../support/fake-revocations.ts';
import { startHttpServer, type TestServer } from '../support/http-server.ts';

function press(server: TestServer, form: Readonly<Record<string, string>>, headers: Record<string, string> = {}) {
  const body = new URLSearchParams(form);
  return fetch(`${server.url}/revoke/${linkToken}`, { method: 'POST', redirect: 'manual', headers, body });
}

test('the link shows what ends and with how many others, and ends nothing', async () => {
  await using server = await startHttpServer();
  for (const _visit of ['an owner', 'a mail scanner']) {
    const response = await fetch(`${server.url}/revoke/${linkToken}`);
    const page = await response.text();
    assert.equal(response.status, 200);
    assert.match(page, /Disconnect your YouTube channel from acme/);
    assert.match(page, /<strong>North Studio<\/strong>/);
    assert.match(page, /end with it.*1 with acme and 1 with other customers of ours/);
    assert.match(page, new RegExp(`name="plan" value="${plan}"`));
    assert.doesNotMatch(page, /south-studio|canary/);
    assert.equal(response.headers.get('referrer-policy'), 'no-referrer');
    assert.equal(response.headers.get('cache-control'), 'no-store');
  }
});

test('the button gives back the plan that was shown, and leads to a page that can be reloaded', async () => {
  await using server = await startHttpServer();
  const pressed = await press(server, { plan });
  assert.deepEqual([pressed.status, pressed.headers.get('location')], [303, '/revoke/disconnected']);
  for (const _visit of ['first', 'reloaded']) {
    const page = await (await fetch(`${server.url}/revoke/disconnected`)).text();
    assert.match(page, /The channel is disconnected/);
  }
});

test('a plan that is not what would end now is refused in words, and so is a button without one', async () => {
  await using server = await startHttpServer();
  for (const form of [{ plan: 'of-before' }, {}]) {
    const refused = await press(server, form);
    assert.equal(refused.status, 409);
    assert.match(await refused.text(), /Something has changed meanwhile/);
  }
});

test('another site cannot press the button', async () => {
  await using server = await startHttpServer();
  const refused = await press(server, { plan }, { 'sec-fetch-site': 'cross-site' });
  assert.equal(refused.status, 400);
  assert.match(await refused.text(), /Please start from your link/);
});

test('a link that is not valid is a page with status 400', async () => {
  await using server = await startHttpServer();
  const response = await fetch(`${server.url}/revoke/another-link`);
  assert.equal(response.status, 400);
  assert.match(await response.text(), /This link does not work any more.*disconnect/s);
});
