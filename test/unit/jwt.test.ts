/** Which signed tokens are believed: admins' identity tokens and Google's ID tokens go through the same checks. */
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type TestContext, test } from 'node:test';
import { exportJWK, generateKeyPair, type JWTPayload, SignJWT, UnsecuredJWT } from 'jose';
import { Secret } from '../../broker/domain/secret.ts';
import { createJwtVerifier, type JwtVerifierOptions } from '../../broker/jwt.ts';

const now = new Date('2026-05-01T12:00:00Z');
const seconds = now.getTime() / 1000;
const good = await generateKeyPair('RS256');
const stranger = await generateKeyPair('RS256');
const publicKey = { ...(await exportJWK(good.publicKey)), kid: 'key-1', alg: 'RS256', use: 'sig' };

type Page = { readonly status?: number; readonly body?: unknown; readonly location?: string };

/** An OpenID provider that a test can change while it runs. */
async function useProvider(t: TestContext) {
  const pages = new Map<string, Page>();
  const asked: string[] = [];
  const server = createServer((request, response) => {
    const path = request.url ?? '';
    asked.push(path);
    const { status = 200, body, location } = pages.get(path) ?? { status: 404 };
    response.writeHead(status, { 'content-type': 'application/json', ...(location ? { location } : {}) });
    response.end(JSON.stringify(body));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  pages.set('/.well-known/openid-configuration', { body: { issuer, jwks_uri: `${issuer}/keys` } });
  pages.set('/keys', { body: { keys: [publicKey] } });
  const verifier = (change: Partial<JwtVerifierOptions> = {}) =>
    createJwtVerifier({
      issuer,
      audience: 'token-broker',
      now: () => now,
      deadlineMs: 2_000,
      unavailable: 'IDENTITY_PROVIDER_UNAVAILABLE',
      ...change,
    });
  return { issuer, pages, asked, verifier };
}

/** A claim that is undefined is left out of the token. */
type Claims = Readonly<Record<string, unknown>>;

function claimsOf(issuer: string, change: Claims = {}): JWTPayload {
  return { iss: issuer, aud: 'token-broker', sub: 'ada', iat: seconds - 60, exp: seconds + 1800, ...change };
}

async function sign(claims: JWTPayload, key = good.privateKey): Promise<Secret<string>> {
  return new Secret(await new SignJWT(claims).setProtectedHeader({ alg: 'RS256', kid: 'key-1' }).sign(key));
}

test('a good token is believed, and the keys are fetched once', async (t) => {
  const { issuer, asked, verifier } = await useProvider(t);
  const verify = verifier();
  const claims = await verify(await sign(claimsOf(issuer, { groups: ['studio'] })));
  assert.equal(claims.sub, 'ada');
  assert.deepEqual(claims.groups, ['studio']);
  await verify(await sign(claimsOf(issuer)));
  assert.deepEqual(asked, ['/.well-known/openid-configuration', '/keys']);
});

const wrong: readonly (readonly [what: string, change: Claims, detail: RegExp])[] = [
  ['that has expired', { exp: seconds - 31 }, /"exp"/],
  ['that is not valid yet', { nbf: seconds + 31 }, /"nbf"/],
  ['for another audience', { aud: 'another-service' }, /"aud"/],
  ['for several others', { aud: ['one', 'two'] }, /"aud"/],
  ['of another issuer', { iss: 'https://issuer.example' }, /"iss"/],
  ['without an end', { exp: undefined }, /"exp"/],
  ['without a beginning', { iat: undefined }, /"iat"/],
  ['without a subject', { sub: undefined }, /"sub"/],
  ['without an audience', { aud: undefined }, /"aud"/],
];
for (const [what, change, detail] of wrong) {
  test(`a token ${what} is not believed`, async (t) => {
    const { issuer, verifier } = await useProvider(t);
    const jwt = await sign(claimsOf(issuer, change));
    await assert.rejects(verifier()(jwt), { code: 'UNAUTHENTICATED', detail });
  });
}

test('clocks may differ by half a minute', async (t) => {
  const { issuer, verifier } = await useProvider(t);
  await verifier()(await sign(claimsOf(issuer, { exp: seconds - 29, nbf: seconds + 29 })));
});

test('a token that this issuer did not sign is not believed, whatever its header says', async (t) => {
  const { issuer, verifier } = await useProvider(t);
  const claims = claimsOf(issuer);
  const byPublicKey = new SignJWT(claims).setProtectedHeader({ alg: 'HS256', kid: 'key-1' });
  const broughtKey = { ...(await exportJWK(stranger.publicKey)), alg: 'RS256' };
  const forgeries = {
    'another key': await sign(claims, stranger.privateKey),
    'no signature': new Secret(new UnsecuredJWT(claims).encode()),
    'the public key as a shared secret': new Secret(await byPublicKey.sign(Buffer.from(JSON.stringify(publicKey)))),
    'a key that the token brings': new Secret(
      await new SignJWT(claims).setProtectedHeader({ alg: 'RS256', jwk: broughtKey }).sign(stranger.privateKey),
    ),
    'an unknown key id': new Secret(
      await new SignJWT(claims).setProtectedHeader({ alg: 'RS256', kid: 'key-2' }).sign(stranger.privateKey),
    ),
    'no token at all': new Secret('not-a-token'),
  };
  for (const [what, jwt] of Object.entries(forgeries)) {
    await assert.rejects(verifier()(jwt), { code: 'UNAUTHENTICATED' }, what);
  }
});

test('an audience and a nonce can be asked for with the token', async (t) => {
  const { issuer, verifier } = await useProvider(t);
  const verify = verifier({ audience: [] });
  const jwt = await sign(claimsOf(issuer, { aud: 'client-1', nonce: 'n-1' }));
  assert.equal((await verify(jwt, { audience: 'client-1', nonce: 'n-1' })).sub, 'ada');
  await assert.rejects(verify(jwt, { audience: 'client-2', nonce: 'n-1' }), { code: 'UNAUTHENTICATED' });
  await assert.rejects(verify(jwt, { audience: 'client-1', nonce: 'n-2' }), { code: 'UNAUTHENTICATED' });
  await assert.rejects(verify(jwt), { code: 'UNAUTHENTICATED' }, 'nobody is the audience of all');
  const without = await sign(claimsOf(issuer, { aud: 'client-1' }));
  await assert.rejects(verify(without, { audience: 'client-1', nonce: 'n-1' }), { code: 'UNAUTHENTICATED' });
});

test('another spelling of the issuer is taken where it is listed, and the keys from where they are said to be', async (t) => {
  const { issuer, asked, verifier } = await useProvider(t);
  const jwt = await sign(claimsOf('accounts.example'));
  const listed = verifier({ issuerAliases: ['accounts.example'], jwksUri: `${issuer}/keys` });
  assert.equal((await listed(jwt)).sub, 'ada');
  assert.deepEqual(asked, ['/keys']);
  await assert.rejects(verifier()(jwt), { code: 'UNAUTHENTICATED' });
});

const away: readonly (readonly [what: string, path: string, page: Page])[] = [
  ['whose discovery fails', '/.well-known/openid-configuration', { status: 503 }],
  [
    'whose discovery names another issuer',
    '/.well-known/openid-configuration',
    { body: { issuer: 'https://evil.example', jwks_uri: 'https://evil.example/keys' } },
  ],
  ['whose discovery sends elsewhere', '/.well-known/openid-configuration', { status: 302, location: '/elsewhere' }],
  ['whose keys fail', '/keys', { status: 500 }],
  ['whose keys are no keys', '/keys', { body: { nothing: true } }],
  ['whose keys are elsewhere', '/keys', { status: 302, location: '/elsewhere' }],
];
for (const [what, path, page] of away) {
  test(`a provider ${what} leaves the token undecided, and is asked again`, async (t) => {
    const { issuer, pages, verifier } = await useProvider(t);
    pages.set('/elsewhere', pages.get(path) ?? {});
    const proper = pages.get(path) ?? {};
    pages.set(path, page);
    const verify = verifier();
    const jwt = await sign(claimsOf(issuer));
    await assert.rejects(verify(jwt), { code: 'IDENTITY_PROVIDER_UNAVAILABLE' });
    pages.set(path, proper);
    assert.equal((await verify(jwt)).sub, 'ada');
  });
}

test('what is said about a token never holds it', async (t) => {
  const { issuer, verifier } = await useProvider(t);
  const jwt = await sign(claimsOf(issuer, { exp: seconds - 60 }));
  const error = await verifier()(jwt).catch((thrown: unknown) => thrown);
  let words = '';
  for (let next = error; next instanceof Error; next = next.cause) words += `${next.message} ${JSON.stringify(next)}`;
  for (const part of jwt.reveal().split('.')) assert.ok(!words.includes(part));
});
