import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { inspect } from 'node:util';
import { describeConfig, loadCliConfig, loadConfig } from '../../broker/config.ts';
import { BrokerError } from '../../broker/errors.ts';

const enough = {
  BROKER_PUBLIC_URL: 'https://broker.example.com',
  VAULT_ADDR: 'https://vault.example.com:8200',
  BROKER_VAULT_ROLE_ID_FILE: '/run/role-id',
  BROKER_VAULT_SECRET_ID_FILE: '/run/secret-id',
  BROKER_OIDC_ISSUER: 'https://id.example.com/realms/media',
};

function problemsOf(environment: Record<string, string>): readonly string[] {
  try {
    loadConfig(environment);
  } catch (error) {
    assert.ok(error instanceof BrokerError);
    assert.equal(error.code, 'CONFIG_INVALID');
    return error.problems;
  }
  return [];
}

test('what must be set is enough; the rest has defaults', () => {
  const config = loadConfig(enough);
  assert.deepEqual(config.http, {
    listen: { host: '127.0.0.1', port: 8080 },
    publicUrl: 'https://broker.example.com',
    trustedProxies: [],
  });
  assert.equal(config.consent.linkTtlMs, 72 * 60 * 60 * 1000);
  assert.equal(config.google.tokenUrl, 'https://oauth2.googleapis.com/token');
  assert.equal(config.store.databaseUrl, undefined);
  assert.equal(config.cache.redisUrl, undefined);
});

test('every kind of value is read', () => {
  const config = loadConfig({
    ...enough,
    BROKER_LISTEN: '[::1]:0',
    BROKER_TRUSTED_PROXIES: '10.0.0.0/8, 2001:db8::/32,192.0.2.7',
    BROKER_CONSENT_LINK_TTL: '30m',
    BROKER_REFRESH_CONCURRENCY: '4',
    BROKER_LOG_LEVEL: 'debug',
    BROKER_VAULT_TRANSIT_MOUNT: 'team/transit',
  });
  assert.deepEqual(config.http.listen, { host: '::1', port: 0 });
  assert.deepEqual(config.http.trustedProxies, ['10.0.0.0/8', '2001:db8::/32', '192.0.2.7']);
  assert.equal(config.consent.linkTtlMs, 30 * 60 * 1000);
  assert.equal(config.refresh.concurrency, 4);
  assert.equal(config.operations.logLevel, 'debug');
  assert.equal(config.vault.transitMount, 'team/transit');
});

test('all problems are reported together, each with what to do', () => {
  const { VAULT_ADDR: _, ...incomplete } = enough;
  assert.deepEqual(
    problemsOf({ ...incomplete, BROKER_LISTN: 'x', BROKER_GRPC_LISTEN: '', BROKER_CONSENT_LINK_TTL: 'three days' }),
    [
      'BROKER_LISTN is not a setting: did you mean BROKER_LISTEN?',
      'BROKER_GRPC_LISTEN is empty: give it a value, or remove it.',
      'VAULT_ADDR is not set. The address of Vault or OpenBao. For example: https://vault.example.com:8200',
      'BROKER_CONSENT_LINK_TTL must be a duration such as 30s, 10m or 72h.',
    ],
  );
});

test('a name that resembles no setting is reported without a guess', () => {
  assert.deepEqual(problemsOf({ ...enough, BROKER_XYZZY: '1' }), ['BROKER_XYZZY is not a setting.']);
});

for (const [name, value] of [
  ['BROKER_LISTEN', '8080'],
  ['BROKER_LISTEN', '127.0.0.1:99999'],
  ['BROKER_LISTEN', '[127.0.0.1]:80'],
  ['BROKER_PUBLIC_URL', 'http://broker.example.com'],
  ['BROKER_PUBLIC_URL', 'http://127.0.0.1.example.com'],
  ['BROKER_PUBLIC_URL', 'https://broker.example.com/path'],
  ['BROKER_PUBLIC_URL', 'https://user@broker.example.com'],
  ['BROKER_TRUSTED_PROXIES', '10.0.0.0/33'],
  ['BROKER_TRUSTED_PROXIES', '10.0.0.0/8,'],
  ['BROKER_CONSENT_LINK_TTL', '0s'],
  ['BROKER_CONSENT_LINK_TTL', '72'],
  ['BROKER_REFRESH_CONCURRENCY', '0'],
  ['BROKER_REFRESH_CONCURRENCY', '1e3'],
  ['BROKER_LOG_LEVEL', 'verbose'],
  ['BROKER_REGION', 'EU West'],
  ['BROKER_TRUST_DOMAIN', 'spiffe://x'],
  ['BROKER_VAULT_KV_MOUNT', '/kv/'],
  ['VAULT_ADDR', 'vault.example.com'],
  ['DATABASE_URL', 'mysql://db/broker'],
  ['REDIS_URL', 'localhost:6379'],
] as const) {
  test(`${name}=${value} is refused by name and never replaced by the default`, () => {
    const problems = problemsOf({ ...enough, [name]: value });
    assert.equal(problems.length, 1);
    assert.match(problems[0] ?? '', new RegExp(`^${name} must be `));
  });
}

test('plain http is accepted for this machine itself', () => {
  for (const host of ['127.0.0.1:8080', 'localhost', '[::1]:8080']) {
    assert.equal(loadConfig({ ...enough, BROKER_PUBLIC_URL: `http://${host}/` }).http.publicUrl, `http://${host}`);
  }
});

test('no problem repeats a value, as it may be a secret in the wrong place', () => {
  const canary = 'canary-hunter2';
  const values = {
    BROKER_LISTEN: canary,
    DATABASE_URL: canary,
    BROKER_REGION: canary.toUpperCase(),
    VAULT_ADDR: canary,
  };
  const problems = problemsOf({ ...enough, ...values });
  assert.equal(problems.length, 4);
  assert.doesNotMatch(problems.join(), /canary/i);
});

test('connection strings and the Vault login are secrets at once', () => {
  const config = loadConfig({ ...enough, DATABASE_URL: 'postgresql://broker:canary@db/broker' });
  assert.doesNotMatch(inspect(config, { depth: 9 }), /canary/);
  assert.equal(config.store.databaseUrl?.reveal(), 'postgresql://broker:canary@db/broker');
  assert.doesNotMatch(inspect(loadCliConfig({ VAULT_TOKEN: 'canary' }), { depth: 9 }), /canary/);
});

test('broker and command may share one environment', () => {
  const shared = { ...enough, BROKER_URL: 'https://broker.example.com', BROKER_TOKEN_FILE: '/run/jwt' };
  assert.equal(loadConfig(shared).http.publicUrl, 'https://broker.example.com');
  assert.equal(loadCliConfig(shared).tokenFile, '/run/jwt');
});

test('docs/configuration.md is what the settings say', async () => {
  const written = await readFile(new URL('../../docs/configuration.md', import.meta.url), 'utf8');
  assert.ok(written === describeConfig().markdown, 'write it again: node broker/main.ts settings --markdown');
});
