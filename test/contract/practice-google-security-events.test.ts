import assert from 'node:assert/strict';
import { createHash, generateKeyPairSync, sign } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, it, type TestContext } from 'node:test';
import { createRemoteJWKSet, jwtVerify } from 'jose';
import { youtubeScope } from '../fake-google/scopes.ts';
import type { SecurityEvent } from '../fake-google/security-events.ts';
import { securityEventTypes } from '../fake-google/security-events.ts';
import { readAnswer } from '../support/plain-oauth-client.ts';
import { owner, startPracticeWorld, usualScope } from '../support/practice-world.ts';
import { atEnd } from '../support/scope.ts';

const project = 'practice-project';
const allEvents = Object.values(securityEventTypes);

/** A receiver that remembers what was posted to it. */
async function startReceiver(t: TestContext) {
  const received: { contentType: string | undefined; body: string }[] = [];
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    received.push({ contentType: request.headers['content-type'], body: Buffer.concat(chunks).toString('utf8') });
    response.writeHead(202).end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  atEnd(t, async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  return { received, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/events` };
}

async function startEventWorld(t: TestContext) {
  const world = await startPracticeWorld(t);
  const receiver = await startReceiver(t);
  const { google, client } = world;
  google.securityEvents.register(project, { url: receiver.url, events: allEvents });
  const { refreshToken, sub } = google.grant({ clientId: client.clientId, account: owner.email, scope: usualScope });
  const keys = createRemoteJWKSet(new URL(google.endpoints.jwks));
  const verifySet = async (set: string) =>
    (await jwtVerify(set, keys, { issuer: `${google.endpoints.issuer}/` })).payload;
  const detailsOf = async (event: SecurityEvent) => {
    const { set } = await google.securityEvents.deliver(event);
    const claims = await verifySet(set);
    const events = claims.events as Record<string, Record<string, unknown>>;
    return { claims, details: events[securityEventTypes[event.type]] };
  };
  return { ...world, receiver, refreshToken, sub, verifySet, detailsOf };
}

describe("the practice Google's security events", { concurrency: true }, () => {
  it('publishes issuer and keys in its RISC configuration', async (t) => {
    const { google } = await startPracticeWorld(t);
    const { body } = await readAnswer(await fetch(google.endpoints.riscConfiguration));
    assert.equal(body.issuer, `${google.endpoints.issuer}/`);
    assert.equal(body.jwks_uri, google.endpoints.jwks);
  });

  it('posts a signed token to the registered receiver', async (t) => {
    const { google, client, receiver, sub, verifySet } = await startEventWorld(t);
    const delivery = await google.securityEvents.deliver({ project, type: 'sessions-revoked', sub });
    assert.equal(delivery.status, 202);
    assert.deepEqual(receiver.received, [{ contentType: 'application/secevent+jwt', body: delivery.set }]);
    const claims = await verifySet(delivery.set);
    assert.deepEqual(claims.aud, [client.clientId]);
    assert.ok(claims.jti && claims.iat);
    assert.equal(claims.exp, undefined);
  });

  it('names a revoked refresh token by its double SHA-512 or its first 16 characters', async (t) => {
    const { refreshToken, detailsOf } = await startEventWorld(t);
    const hashed = await detailsOf({ project, type: 'token-revoked', refreshToken });
    const once = createHash('sha512').update(refreshToken).digest();
    assert.deepEqual(hashed.details?.subject, {
      subject_type: 'oauth_token',
      token_type: 'refresh_token',
      token_identifier_alg: 'hash_base64_sha512_sha512',
      token: createHash('sha512').update(once).digest('base64'),
    });
    const prefixed = await detailsOf({ project, type: 'token-revoked', refreshToken, identifiedBy: 'prefix' });
    assert.deepEqual(prefixed.details?.subject, {
      subject_type: 'oauth_token',
      token_type: 'refresh_token',
      token_identifier_alg: 'prefix',
      token: refreshToken.slice(0, 16),
    });
  });

  for (const type of [
    'tokens-revoked',
    'sessions-revoked',
    'account-disabled',
    'account-enabled',
    'account-credential-change-required',
  ] as const) {
    it(`names the account of ${type} by issuer and sub`, async (t) => {
      const { google, sub, detailsOf } = await startEventWorld(t);
      const { details } = await detailsOf({ project, type, sub });
      assert.deepEqual(details?.subject, { subject_type: 'iss-sub', iss: `${google.endpoints.issuer}/`, sub });
    });
  }

  it('carries the reason of account-disabled and the state of verification', async (t) => {
    const { sub, detailsOf } = await startEventWorld(t);
    const disabled = await detailsOf({ project, type: 'account-disabled', sub, reason: 'hijacking' });
    assert.equal(disabled.details?.reason, 'hijacking');
    const verification = await detailsOf({ project, type: 'verification', state: 'are you there' });
    assert.deepEqual(verification.details, { state: 'are you there' });
  });

  it('can speak the newer form with sub_id', async (t) => {
    const { sub, detailsOf } = await startEventWorld(t);
    const { claims, details } = await detailsOf({ project, type: 'tokens-revoked', sub, form: 'sub_id' });
    assert.deepEqual((claims.sub_id as Record<string, unknown>).format, 'iss_sub');
    assert.equal(details?.subject, undefined);
  });

  it('can be forged, repeated or misaddressed on request', async (t) => {
    const { google, sub, verifySet } = await startEventWorld(t);
    const event = { project, type: 'sessions-revoked', sub } as const;
    const forged = await google.securityEvents.deliver({ ...event, forged: true });
    await assert.rejects(verifySet(forged.set), { code: 'ERR_JWS_SIGNATURE_VERIFICATION_FAILED' });
    const set = await google.securityEvents.sign({ ...event, claims: { aud: 'someone else', jti: 'again' } });
    const claims = await verifySet(set);
    assert.deepEqual([claims.aud, claims.jti], ['someone else', 'again']);
  });

  it('sends nothing about an owner who granted neither email nor profile', async (t) => {
    const { google, client, receiver } = await startEventWorld(t);
    google.addAccount({ email: 'shy@example.com' });
    const grant = { clientId: client.clientId, account: 'shy@example.com', scope: youtubeScope.upload };
    const { refreshToken, sub } = google.grant(grant);
    await assert.rejects(google.securityEvents.deliver({ project, type: 'token-revoked', refreshToken }), /neither/);
    await assert.rejects(google.securityEvents.deliver({ project, type: 'account-disabled', sub }), /neither/);
    assert.deepEqual(receiver.received, []);
  });

  it('sends nothing to a project that registered no receiver or did not ask for the event', async (t) => {
    const { google, sub, receiver } = await startEventWorld(t);
    const event = { type: 'sessions-revoked', sub } as const;
    await assert.rejects(google.securityEvents.deliver({ ...event, project: 'other' }), /no receiver/);
    google.securityEvents.register(project, { url: receiver.url, events: [securityEventTypes['token-revoked']] });
    await assert.rejects(google.securityEvents.deliver({ ...event, project }), /did not ask/);
  });

  it('registers a receiver for the project’s service account and for nobody else', async (t) => {
    const { google, addClient } = await startPracticeWorld(t);
    const receiver = await startReceiver(t);
    const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    const clientEmail = 'risc@my-project.iam.gserviceaccount.com';
    const pem = publicKey.export({ type: 'spki', format: 'pem' }).toString();
    google.addProject({ id: 'my-project', serviceAccount: { clientEmail, publicKey: pem } });
    addClient('mine', { project: 'my-project' });

    const encode = (part: unknown) => Buffer.from(JSON.stringify(part)).toString('base64url');
    const bearer = (claims: Record<string, unknown>) => {
      const signed = `${encode({ alg: 'RS256', typ: 'JWT' })}.${encode(claims)}`;
      return `${signed}.${sign('sha256', Buffer.from(signed), privateKey).toString('base64url')}`;
    };
    const manage = async (path: string, authorization: string, body?: unknown) =>
      readAnswer(
        await fetch(`${google.endpoints.riscManagement}/v1beta/${path}`, {
          method: body === undefined ? 'GET' : 'POST',
          headers: { authorization: `Bearer ${authorization}`, 'content-type': 'application/json' },
          ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        }),
      );
    const exp = Math.floor(google.now() / 1000) + 3600;
    const good = bearer({ iss: clientEmail, sub: clientEmail, exp });
    const update = { delivery: { url: receiver.url }, events_requested: allEvents };

    assert.equal((await manage('stream:update', 'rubbish', update)).status, 401);
    assert.equal((await manage('stream:update', bearer({ iss: 'another@example.com', exp }), update)).status, 401);
    assert.equal((await manage('stream:update', bearer({ iss: clientEmail, exp: 1 }), update)).status, 401);
    assert.equal((await manage('stream:update', `${good.slice(0, -4)}AAAA`, update)).status, 401);
    assert.equal((await manage('stream:update', good, {})).status, 400);
    assert.equal((await manage('stream:update', good, update)).status, 200);
    assert.deepEqual((await manage('stream', good)).body.events_requested, allEvents);
    assert.equal((await manage('stream:verify', good, { state: 'hello' })).status, 200);
    assert.equal(receiver.received.length, 1);
  });
});
