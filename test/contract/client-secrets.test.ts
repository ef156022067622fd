/** The order in which a client's secrets are tried, and how often Vault is asked for them. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { Secret } from '../../broker/domain/secret.ts';
import { createSecretsToTry } from '../../broker/google/client-secrets.ts';
import { createOAuthClientSecrets } from '../../broker/vault/oauth-client-secrets.ts';
import { useVaultFront } from '../support/vault-front.ts';
import { useSetUpVault } from '../support/vault-set-up.ts';

const vault = await useSetUpVault({ after });
const { kv } = vault.layout.mounts;
const front = await useVaultFront({ after }, vault.address);
const broker = await vault.asBroker({ address: front.address });
const readsOf = (client: string) => front.requests.filter((line) => line.startsWith(`GET ${kv}/data/${client}`)).length;

/** A replica with a clock of its own. */
function createReplica() {
  let now = 0;
  const clock = { now: () => new Date(now) };
  const secrets = createOAuthClientSecrets({ vault: broker, kv, clock });
  const secretsToTry = createSecretsToTry({ secrets, clock });
  return {
    secrets,
    advance(ms: number) {
      now += ms;
    },
    /** Tries until one is good, as a token request does; answers those that were sent. */
    async ask(client: string, isGood: (secret: string) => boolean): Promise<readonly string[]> {
      const sent: string[] = [];
      for await (const { secret } of secretsToTry(client)) {
        sent.push(secret.reveal());
        if (isGood(secret.reveal())) break;
      }
      return sent;
    },
  };
}

test('a hundred requests at once read a secret once, and nothing former', async () => {
  const { secrets, ask, advance } = createReplica();
  await secrets.create('busy', new Secret('one'));
  const before = readsOf('busy');
  const asked = await Promise.all(Array.from({ length: 100 }, () => ask('busy', () => true)));
  assert.ok(asked.every((sent) => sent.join() === 'one'));
  assert.equal(readsOf('busy') - before, 1);
  advance(30_000);
  await ask('busy', () => true);
  assert.equal(readsOf('busy') - before, 2, 'after half a minute Vault is asked again');
});

test('a secret that Google refuses is tried last for five minutes, then gets another chance', async () => {
  const { secrets, ask, advance } = createReplica();
  await secrets.create('early', new Secret('one'));
  assert.equal(await secrets.replace('early', new Secret('two')), 2);
  const isOne = (secret: string) => secret === 'one';
  assert.deepEqual(await ask('early', isOne), ['two', 'one']);
  assert.deepEqual(await ask('early', isOne), ['one']);
  advance(299_000);
  assert.deepEqual(await ask('early', isOne), ['one']);
  advance(1_000);
  assert.deepEqual(await ask('early', () => true), ['two']);
});

test('what another replica or `vault kv put` stored is found as soon as Google refuses the former', async () => {
  const [here, there] = [createReplica(), createReplica()];
  await here.secrets.create('moved', new Secret('one'));
  assert.deepEqual(await here.ask('moved', () => true), ['one']);
  await there.secrets.replace('moved', new Secret('two'));
  assert.deepEqual(await here.ask('moved', (secret) => secret === 'two'), ['one', 'two']);
});

test('a client that Google refuses altogether costs Vault few reads', async () => {
  const { secrets, ask } = createReplica();
  await secrets.create('refused', new Secret('one'));
  const before = readsOf('refused');
  await Promise.all(Array.from({ length: 50 }, () => ask('refused', () => false)));
  await Promise.all(Array.from({ length: 50 }, () => ask('refused', () => false)));
  assert.ok(readsOf('refused') - before <= 2, `${readsOf('refused') - before} reads`);
});

test('at most two former secrets are tried, and none beyond one that was deleted', async () => {
  const { secrets, ask } = createReplica();
  await secrets.create('long', new Secret('one'));
  for (const next of ['two', 'three', 'four']) await secrets.replace('long', new Secret(next));
  assert.deepEqual(await ask('long', () => false), ['four', 'three', 'two']);
  await secrets.retireFormer('long', 4);
  assert.deepEqual(await createReplica().ask('long', () => false), ['four']);
  await secrets.replace('long', new Secret('five'));
  assert.deepEqual(await createReplica().ask('long', () => false), ['five', 'four']);
});

test('of two who replace a secret at once, one is told of the other', async () => {
  const { secrets } = createReplica();
  await secrets.create('raced', new Secret('one'));
  const bothHaveRead = Promise.withResolvers<void>();
  let readers = 0;
  const meeting: typeof broker = {
    ...broker,
    async find(...asked) {
      const found = await broker.find(...asked);
      readers += 1;
      if (readers === 2) bothHaveRead.resolve();
      await bothHaveRead.promise;
      return found;
    },
  };
  const clock = { now: () => new Date() };
  const replaced = ['two', 'three'].map((next) =>
    createOAuthClientSecrets({ vault: meeting, kv, clock }).replace('raced', new Secret(next)),
  );
  const results = await Promise.allSettled(replaced);
  const refused = results.filter((result) => result.status === 'rejected');
  assert.equal(refused.length, 1);
  assert.equal(refused[0]?.reason.code, 'STORE_CONFLICT');
});
