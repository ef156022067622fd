/** A broker that is started before what it needs: it says what it waits for, and goes on by itself. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { freePort } from '../../stack/free-port.ts';
import { startPracticeGoogle } from '../fake-google/server.ts';
import { useBroker } from '../support/broker.ts';
import { useOwnPostgres } from '../support/postgres.ts';
import { atEnd } from '../support/scope.ts';
import { useMigratedDatabase } from '../support/store.ts';
import { useOwnVault } from '../support/vault.ts';
import { useSetUpVault } from '../support/vault-set-up.ts';

const clock = { now: () => new Date() };

interface Readiness {
  readonly status: string;
  readonly checks: Readonly<Record<string, string>>;
}

/** Polls until `/readyz` answers anything. */
async function readiness(port: number): Promise<Readiness> {
  for (;;) {
    const response = await fetch(`http://127.0.0.1:${port}/readyz`).catch(() => undefined);
    if (response) return (await response.json()) as Readiness;
    await delay(20);
  }
}

test('a broker that starts while Vault is sealed says so, and serves once it is unsealed', async (t) => {
  const server = await useOwnVault(t);
  const [vault, databaseUrl, google] = [
    await useSetUpVault(t, server),
    await useMigratedDatabase(t),
    await startPracticeGoogle(),
  ];
  atEnd(t, () => google.close());
  const port = await freePort();
  const settings = { BROKER_OPERATIONS_LISTEN: `127.0.0.1:${port}` };
  const starting = useBroker(t, {
    vault,
    google,
    databaseUrl,
    redisUrl: undefined,
    clock,
    settings,
    before: server.seal,
  });

  const waiting = await readiness(port);
  assert.equal(waiting.status, 'unavailable');
  assert.equal(waiting.checks.vault, 'VAULT_SEALED');

  await server.unseal();
  await starting;
  assert.equal((await readiness(port)).status, 'ok');
});

test('a broker that starts before PostgreSQL waits for it', async (t) => {
  const postgres = await useOwnPostgres(t);
  const google = await startPracticeGoogle();
  atEnd(t, () => google.close());
  const vault = await useSetUpVault(t);
  await postgres.halt();
  const port = await freePort();
  const settings = { BROKER_OPERATIONS_LISTEN: `127.0.0.1:${port}` };
  const databaseUrl = postgres.url('postgres');
  const starting = useBroker(t, { vault, google, databaseUrl, redisUrl: undefined, clock, settings });
  assert.equal((await readiness(port)).checks.database, 'STORE_UNAVAILABLE');
  await postgres.start();
  await starting;
  assert.equal((await readiness(port)).status, 'ok');
});
