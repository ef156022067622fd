/** What the sidecar's requests to Vault tell apart, and what they never carry anywhere else. */
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { IdentityError, type IdentityProblem } from '../../sidecar/identity-error.ts';
import { createVaultRequest } from '../../sidecar/vault/request.ts';
import { atEnd, type Scope } from '../support/scope.ts';
import { useOwnVault } from '../support/vault.ts';

const is = (code: IdentityProblem) => (error: unknown) => error instanceof IdentityError && error.code === code;

test('tells a sealed Vault from one that is away', async (t) => {
  const vault = await useOwnVault(t);
  await vault.seal();
  const request = createVaultRequest({ address: new URL(vault.address), namespace: undefined, caFile: undefined });
  await assert.rejects(request({ method: 'POST', path: 'auth/approle/login', body: {} }), is('VAULT_SEALED'));
});

/** Something at Vault's address that answers as it is told; the answers of a real one are in the other files. */
async function useAnswers(
  scope: Scope,
  answers: (path: string) => { status: number; text?: string; location?: string },
) {
  const heard: string[] = [];
  const server = createServer((request, response) => {
    const path = request.url ?? '';
    heard.push(path);
    const { status, text = '', location } = answers(path);
    response.writeHead(status, location === undefined ? {} : { Location: location }).end(text);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  atEnd(scope, () => new Promise((resolve) => server.close(resolve)));
  const address = new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  return { heard, request: createVaultRequest({ address, namespace: undefined, caFile: undefined }) };
}

const states: readonly [why: string, code: IdentityProblem, status: number, text: string, health: object][] = [
  ['a standby without an active node', 'VAULT_STANDBY', 503, '{"errors":["no"]}', { sealed: false, standby: true }],
  ['a sealed one behind a gateway', 'VAULT_SEALED', 502, '<html>', { sealed: true, standby: true }],
  ['a fault of an active one', 'VAULT_FAILING', 500, '{"errors":["internal"]}', { sealed: false, standby: false }],
  ['a performance standby that cannot write', 'VAULT_STANDBY', 473, '{"errors":[]}', {}],
  ['a rate limit', 'VAULT_BUSY', 429, '{"errors":["quota"]}', {}],
  ['a gateway that refuses in its own words', 'ANSWER_NOT_UNDERSTOOD', 403, '<html>forbidden</html>', {}],
];

for (const [why, code, status, text, health] of states)
  test(`takes ${why} for ${code}`, async (t) => {
    const { request } = await useAnswers(t, (path) =>
      path === '/v1/sys/health' ? { status: 503, text: JSON.stringify(health) } : { status, text },
    );
    await assert.rejects(request({ method: 'POST', path: 'auth/approle/login', body: {} }), is(code));
  });

test('sends no token after a redirect, and none through a proxy of the environment', async (t) => {
  const { heard, request } = await useAnswers(t, () => ({ status: 307, location: '/elsewhere' }));
  process.env.HTTP_PROXY = 'http://127.0.0.1:1';
  atEnd(t, () => void delete process.env.HTTP_PROXY);
  await assert.rejects(request({ method: 'GET', path: 'pki/issuers', token: 'secret' }), is('VAULT_REDIRECTED'));
  assert.deepEqual(heard, ['/v1/pki/issuers']);
});
