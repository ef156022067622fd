/** How the command finds out who runs it: a file, or the real Vault's signature for a Vault login. */
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { CliError } from '../../broker/cli/cli-error.ts';
import { findIdentityToken } from '../../broker/cli/identity-token.ts';
import { loadCliConfig } from '../../broker/config.ts';
import { atEnd, useFolder } from '../support/scope.ts';
import { createPerson } from '../support/vault-people.ts';
import { useSetUpVault } from '../support/vault-set-up.ts';

function claimsOf(jwt: string): Record<string, unknown> {
  return JSON.parse(Buffer.from(jwt.split('.')[1] ?? '', 'base64url').toString());
}

/** The refusal of a try to find an identity. */
async function refusalOf(environment: Record<string, string>, home: string): Promise<CliError> {
  const error = await findIdentityToken(loadCliConfig(environment), home).then(
    () => assert.fail('an identity was found'),
    (thrown: unknown) => thrown,
  );
  assert.ok(error instanceof CliError);
  return error;
}

test('Vault signs an identity for the login in VAULT_TOKEN, or for the one that `vault login` left', async (t) => {
  const vault = await useSetUpVault(t);
  const person = await createPerson(vault, { name: `alice-${vault.layout.identity.role}`, groups: [] });
  const home = await useFolder(t);
  const where = { VAULT_ADDR: vault.address, BROKER_IDENTITY_ROLE: vault.layout.identity.role };

  const environment = { ...where, VAULT_TOKEN: (await person.logIn()).reveal() };
  const byVariable = await findIdentityToken(loadCliConfig(environment), home);
  assert.equal(claimsOf(byVariable.reveal()).sub, person.subject);

  await writeFile(join(home, '.vault-token'), `${(await person.logIn()).reveal()}\n`);
  const byFile = await findIdentityToken(loadCliConfig(where), home);
  assert.equal(claimsOf(byFile.reveal()).sub, person.subject);
});

test('a login that Vault does not know is told to log in again', async (t) => {
  const vault = await useSetUpVault(t);
  const environment = {
    VAULT_ADDR: vault.address,
    VAULT_TOKEN: 'canary-forged-login',
    BROKER_IDENTITY_ROLE: vault.layout.identity.role,
  };
  const error = await refusalOf(environment, await useFolder(t));
  assert.equal(error.message, 'Vault does not sign an identity for your login.');
  assert.equal(error.exitCode, 1);
  assert.match(error.hints.join(), /vault login/);
  assert.doesNotMatch(JSON.stringify([error.message, error.problems, error.hints]), /canary/);
});

test('without a file and without a login nobody is signed in', async (t) => {
  const home = await useFolder(t);
  for (const environment of [{}, { VAULT_ADDR: 'http://127.0.0.1:1' }, { VAULT_TOKEN: 'x' }]) {
    assert.equal((await refusalOf(environment, home)).code, 'UNAUTHENTICATED');
  }
});

test('a file with an identity token comes before Vault', async (t) => {
  const file = join(await useFolder(t), 'identity.jwt');
  await writeFile(file, ' header.claims.signature \n');
  const environment = { BROKER_TOKEN_FILE: file, VAULT_ADDR: 'http://127.0.0.1:1', VAULT_TOKEN: 'x' };
  assert.equal((await findIdentityToken(loadCliConfig(environment), '/')).reveal(), 'header.claims.signature');
});

test('the login never follows a redirect', async (t) => {
  let followed = 0;
  const target = await serve(t, () => {
    followed += 1;
    return undefined;
  });
  const vault = await serve(t, () => `${target}/v1/identity/oidc/token/token-broker-admin`);
  const error = await refusalOf({ VAULT_ADDR: vault, VAULT_TOKEN: 'x' }, await useFolder(t));
  assert.equal(error.exitCode, 3);
  assert.equal(followed, 0);
});

test('a Vault that answers with anything but a token is said to be so', async (t) => {
  const vault = await serve(t, () => undefined);
  const error = await refusalOf({ VAULT_ADDR: vault, VAULT_TOKEN: 'x' }, await useFolder(t));
  assert.equal(error.message, 'Vault does not give an identity token (HTTP 503).');
  assert.equal(error.exitCode, 3);
});

/** A server that redirects where it is told to, and is not available otherwise. */
async function serve(t: TestContext, location: () => string | undefined): Promise<string> {
  const server = createServer((_request, response) => {
    const to = location();
    response.writeHead(to === undefined ? 503 : 307, to === undefined ? {} : { location: to }).end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  atEnd(t, () => {
    server.close();
    server.closeAllConnections();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}
