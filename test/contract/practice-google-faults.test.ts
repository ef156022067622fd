import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Fault } from '../fake-google/faults.ts';
import { readAnswer, refresh } from '../support/plain-oauth-client.ts';
import { owner, startPracticeWorld, usualScope } from '../support/practice-world.ts';

const tokenRequests = { endpoint: 'token' } as const;

describe("the practice Google's faults", { concurrency: true }, () => {
  const answers: readonly [string, Fault, number, Record<string, unknown>, Record<string, string>?][] = [
    ['a dead grant', { kind: 'error', error: 'invalid_grant' }, 400, { error: 'invalid_grant' }],
    [
      'session control',
      { kind: 'error', error: 'invalid_rapt' },
      400,
      { error: 'invalid_grant', error_subtype: 'invalid_rapt' },
    ],
    [
      'an administrator’s policy',
      { kind: 'error', error: 'admin_policy_enforced' },
      400,
      { error: 'admin_policy_enforced' },
    ],
    ['an unknown client', { kind: 'error', error: 'invalid_client' }, 401, { error: 'invalid_client' }],
    [
      'a client without the right',
      { kind: 'error', error: 'unauthorized_client' },
      401,
      { error: 'unauthorized_client' },
    ],
    ['a deleted client', { kind: 'error', error: 'deleted_client' }, 401, { error: 'deleted_client' }],
    ['a nonce challenge', { kind: 'error', error: 'use_dpop_nonce' }, 400, { error: 'use_dpop_nonce' }],
    ['a bad proof', { kind: 'error', error: 'invalid_dpop_proof' }, 400, { error: 'invalid_dpop_proof' }],
    ['a server error', { kind: 'status', status: 503 }, 503, {}],
    ['a rate limit', { kind: 'status', status: 429, retryAfter: 17 }, 429, {}, { 'retry-after': '17' }],
    ['the human 403', { kind: 'html-403' }, 403, {}, { 'content-type': 'text/html; charset=UTF-8' }],
  ];
  for (const [what, fault, status, fields, headers = {}] of answers) {
    it(`answers like ${what} once, and properly the next time`, async (t) => {
      const { google, client, grant } = await startPracticeWorld(t);
      const { body } = await grant();
      google.faults.add({ fault, where: tokenRequests });
      const faulty = await refresh(client, body.refresh_token);
      assert.equal(faulty.status, status);
      for (const [name, value] of Object.entries(fields)) assert.equal(faulty.body[name], value);
      for (const [name, value] of Object.entries(headers)) assert.equal(faulty.headers.get(name), value);
      assert.equal((await refresh(client, body.refresh_token)).status, 200);
    });
  }

  it('resets the connection', async (t) => {
    const { google, client, grant } = await startPracticeWorld(t);
    const { body } = await grant();
    google.faults.add({ fault: { kind: 'reset' }, where: tokenRequests });
    await assert.rejects(refresh(client, body.refresh_token), (error: Error) => {
      return (error.cause as NodeJS.ErrnoException).code === 'ECONNRESET';
    });
  });

  it('cuts the body in the middle after the headers were sent', async (t) => {
    const { google, client, grant } = await startPracticeWorld(t);
    const { body } = await grant();
    google.faults.add({ fault: { kind: 'cut-body' }, where: tokenRequests });
    await assert.rejects(refresh(client, body.refresh_token), /terminated/);
  });

  it('hangs until the caller gives up', async (t) => {
    const { google, client, grant } = await startPracticeWorld(t);
    const { body } = await grant();
    google.counts.reset();
    google.faults.add({ fault: { kind: 'hang' }, where: tokenRequests });
    const gaveUp = new AbortController();
    const request = fetch(google.endpoints.token, {
      method: 'POST',
      body: new URLSearchParams({ client_id: client.clientId, refresh_token: body.refresh_token ?? '' }),
      signal: gaveUp.signal,
    });
    const rejected = assert.rejects(request, { name: 'AbortError' });
    await google.counts.arrival(tokenRequests);
    gaveUp.abort();
    await rejected;
  });

  it('lets hanging requests go when faults are cleared', async (t) => {
    const { google, client, grant } = await startPracticeWorld(t);
    const { body } = await grant();
    google.counts.reset();
    google.faults.add({ fault: { kind: 'hang' }, where: tokenRequests, times: 'always' });
    const rejected = assert.rejects(refresh(client, body.refresh_token), TypeError);
    await google.counts.arrival(tokenRequests);
    google.faults.clear();
    await rejected;
    assert.equal((await refresh(client, body.refresh_token)).status, 200);
  });

  it('answers late', async (t) => {
    const { google, client, grant } = await startPracticeWorld(t);
    const { body } = await grant();
    google.counts.reset();
    const from = performance.now();
    google.faults.add({ fault: { kind: 'latency', ms: 100 }, where: tokenRequests });
    assert.equal((await refresh(client, body.refresh_token)).status, 200);
    // A timer may end a little before its time.
    assert.ok(performance.now() - from >= 99);
  });

  it('holds an answer back until the rule is cleared, and meanwhile others are answered', async (t) => {
    const { google, client, grant } = await startPracticeWorld(t, { settings: { rotateRefreshTokens: true } });
    const { body } = await grant();
    const other = await grant();
    google.counts.reset();
    const held = google.faults.add({ fault: { kind: 'held' }, where: tokenRequests, when: 'after' });
    const finished: string[] = [];
    const late = refresh(client, body.refresh_token).then(({ status }) => finished.push(`late ${status}`));
    await google.counts.arrival(tokenRequests);
    assert.equal((await refresh(client, other.body.refresh_token)).status, 200);
    assert.deepEqual(finished, []);
    assert.ok(!google.liveRefreshTokens().includes(body.refresh_token ?? ''), 'the request took effect before');
    held.clear();
    await late;
    assert.deepEqual(finished, ['late 200']);
  });

  it('can lose the answer before or after the request took effect', async (t) => {
    const { google, client, grant } = await startPracticeWorld(t, { settings: { rotateRefreshTokens: true } });
    const { body } = await grant();
    google.faults.add({ fault: { kind: 'reset' }, where: tokenRequests, when: 'before' });
    await assert.rejects(refresh(client, body.refresh_token));
    assert.deepEqual(google.liveRefreshTokens(), [body.refresh_token]);

    google.faults.add({ fault: { kind: 'reset' }, where: tokenRequests, when: 'after' });
    await assert.rejects(refresh(client, body.refresh_token));
    assert.notDeepEqual(google.liveRefreshTokens(), [body.refresh_token]);
    assert.equal((await refresh(client, body.refresh_token)).body.error, 'invalid_grant');
  });

  it('hits only the client, token, account, grant type or path that it is for', async (t) => {
    const { google, client, addClient } = await startPracticeWorld(t);
    const another = addClient('another');
    const grant = { clientId: client.clientId, account: owner.email, scope: usualScope };
    const [mine, also, others] = [
      google.grant(grant),
      google.grant(grant),
      google.grant({ ...grant, clientId: 'another' }),
    ];
    google.addAccount({ email: 'other@example.com' });
    const elsewhere = google.grant({ ...grant, account: 'other@example.com' });
    const fault = { kind: 'status', status: 500 } as const;
    const statuses = async () => [
      (await refresh(client, mine.refreshToken)).status,
      (await refresh(client, also.refreshToken)).status,
      (await refresh(another, others.refreshToken)).status,
      (await refresh(client, elsewhere.refreshToken)).status,
    ];
    const seen: Record<string, number[]> = {};
    const wheres = {
      client: { clientId: client.clientId },
      token: { token: mine.refreshToken },
      account: { account: 'other@example.com' },
      grantType: { grantType: 'authorization_code' },
      path: { path: '/token' },
    };
    for (const [name, where] of Object.entries(wheres)) {
      const handle = google.faults.add({ fault, where, times: 'always' });
      seen[name] = await statuses();
      handle.clear();
    }
    assert.deepEqual(seen, {
      client: [500, 500, 200, 500],
      token: [500, 200, 200, 200],
      account: [200, 200, 200, 500],
      grantType: [200, 200, 200, 200],
      path: [500, 500, 500, 500],
    });
  });

  it('hits as often as asked, and always until it is cleared', async (t) => {
    const { google, client, grant } = await startPracticeWorld(t);
    const { body } = await grant();
    const statuses = async () => {
      const answers = [];
      for (let n = 0; n < 3; n += 1) answers.push((await refresh(client, body.refresh_token)).status);
      return answers;
    };
    const fault = { kind: 'status', status: 502 } as const;
    const twice = google.faults.add({ fault, times: 2 });
    assert.deepEqual(await statuses(), [502, 502, 200]);
    assert.equal(twice.hits(), 2);
    google.faults.add({ fault, times: 'always' });
    assert.deepEqual(await statuses(), [502, 502, 502]);
    google.faults.clear();
    assert.deepEqual(await statuses(), [200, 200, 200]);
  });

  it('hits a share of the requests when asked by rate', async (t) => {
    const { google, client, grant } = await startPracticeWorld(t);
    const { body } = await grant();
    const fault = google.faults.add({ fault: { kind: 'status', status: 500 }, times: 'always', rate: 0.5 });
    await Promise.all(Array.from({ length: 100 }, () => refresh(client, body.refresh_token)));
    // Outside of these bounds once in about 10^15 runs.
    assert.ok(fault.hits() > 10 && fault.hits() < 90, `${fault.hits()} of 100`);
  });

  it('misbehaves at YouTube and everywhere else too', async (t) => {
    const { google } = await startPracticeWorld(t);
    google.faults.add({ fault: { kind: 'status', status: 503 }, where: { endpoint: 'channels' } });
    google.faults.add({ fault: { kind: 'html-403' }, where: { endpoint: 'jwks' } });
    assert.equal((await readAnswer(await fetch(`${google.endpoints.youtube}/channels`))).status, 503);
    assert.equal((await readAnswer(await fetch(google.endpoints.jwks))).status, 403);
  });
});

describe("the practice Google's counts", { concurrency: true }, () => {
  it('tells what was asked per endpoint, client, grant type and status', async (t) => {
    const { google, client, grant } = await startPracticeWorld(t);
    const { body } = await grant();
    await refresh(client, body.refresh_token);
    await refresh(client, 'unknown');
    const { byEndpoint, byClient, byGrantType, byStatus, requests } = google.counts.snapshot();
    assert.deepEqual(byEndpoint, { authorization: 1, consent: 4, token: 3 });
    assert.deepEqual(byClient, { [client.clientId]: 4 });
    assert.deepEqual(byGrantType, { authorization_code: 1, refresh_token: 2 });
    assert.equal(byStatus['400'], 1);
    assert.equal(requests, 8);
  });

  it('keeps parameters and headers of each request, so that a test can tell what was not sent', async (t) => {
    const { google, consent } = await startPracticeWorld(t);
    await consent();
    const [request] = google.counts.log({ endpoint: 'authorization' });
    assert.equal(request?.parameters.access_type, 'offline');
    assert.equal(request?.parameters.include_granted_scopes, undefined);
    assert.ok(request?.headers.host);
  });

  it('counts requests handled at the same time, those with one refresh token, and TCP connections', async (t) => {
    const { google, client, grant } = await startPracticeWorld(t);
    const { body } = await grant();
    google.counts.reset();
    google.faults.add({ fault: { kind: 'hang' }, where: tokenRequests, times: 4 });
    const requests = Array.from({ length: 3 }, () => refresh(client, body.refresh_token));
    const rejected = Promise.allSettled([...requests, refresh(client, 'another')]);
    await google.counts.arrival(tokenRequests, 4);
    const { concurrentPeak, sameTokenPeak, connections } = google.counts.snapshot();
    assert.deepEqual([concurrentPeak.token, sameTokenPeak], [4, 3]);
    assert.ok(connections >= 2, 'one connection may have been open before');
    google.faults.clear();
    await rejected;
  });

  it('starts again from zero after a reset', async (t) => {
    const { google, consent } = await startPracticeWorld(t);
    await consent();
    google.counts.reset();
    assert.equal(google.counts.requests(), 0);
    assert.equal(google.counts.snapshot().requests, 0);
    assert.deepEqual(google.counts.snapshot().byEndpoint, {});
  });
});
