import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ConfigError, loadConfig } from '../../sidecar/config.ts';

const least = {
  SIDECAR_BROKER_ADDR: 'broker.example.com:8443',
  SIDECAR_SPIFFE_ID: 'spiffe://token-broker.internal/workload/uploads',
  VAULT_ADDR: 'https://vault.example.com:8200',
  SIDECAR_VAULT_ROLE_ID_FILE: '/run/secrets/role-id',
  SIDECAR_VAULT_SECRET_ID_FILE: '/run/secrets/secret-id',
};

function problemsOf(environment: Record<string, string | undefined>): readonly string[] {
  try {
    loadConfig(environment);
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
  return [];
}

test('reads the least that must be said, with defaults for the rest', () => {
  const config = loadConfig({ ...least, HOME: '/root', PATH: '/bin' });
  assert.equal(config.broker.address, 'broker.example.com:8443');
  assert.equal(config.broker.spiffeId.uri, 'spiffe://token-broker.internal/broker');
  assert.equal(config.vault.address.href, 'https://vault.example.com:8200/');
  assert.deepEqual(config.listen, { host: '127.0.0.1', port: 7070 });
  assert.deepEqual(config.operationsListen, { host: '127.0.0.1', port: 7071 });
  assert.deepEqual(config.pki, { mount: 'pki-workloads', role: 'workload' });
  assert.equal(config.appRole.mount, 'approle');
  assert.equal(config.gceChannels.size, 0);
});

test('gives each channel its port', () => {
  const { gceChannels } = loadConfig({ ...least, SIDECAR_GCE_CHANNELS: 'ch_a=8181, ch_b=8182,' });
  assert.deepEqual(
    [...gceChannels],
    [
      ['ch_a', 8181],
      ['ch_b', 8182],
    ],
  );
});

test('reports every problem at once', () => {
  const problems = problemsOf({ SIDECAR_LISTEN: '0.0.0.0:80', SIDECAR_LISTNE: 'x', VAULT_ADDR: 'vault' });
  assert.deepEqual(
    problems.map((problem) => problem.split(' ')[0]),
    [
      'SIDECAR_BROKER_ADDR',
      'SIDECAR_SPIFFE_ID',
      'VAULT_ADDR',
      'SIDECAR_VAULT_ROLE_ID_FILE',
      'SIDECAR_VAULT_SECRET_ID_FILE',
      'SIDECAR_LISTEN',
      'SIDECAR_LISTNE',
    ],
  );
});

const refused: readonly [name: string, value: string, problem: RegExp][] = [
  ['SIDECAR_LISTEN', '0.0.0.0:7070', /not a loopback address/],
  ['SIDECAR_LISTEN', '10.0.0.5:7070', /not a loopback address/],
  ['SIDECAR_LISTEN', 'localhost:7070', /not a loopback address/],
  ['SIDECAR_LISTEN', '127.0.0.1', /not a loopback address/],
  ['SIDECAR_LISTEN', '127.0.0.1:65536', /not a loopback address/],
  ['SIDECAR_LISTEN', '[::]:7070', /not a loopback address/],
  ['SIDECAR_OPERATIONS_LISTEN', '', /not an IP address with a port/],
  ['SIDECAR_OPERATIONS_LISTEN', 'localhost:7071', /not an IP address with a port/],
  ['SIDECAR_OPERATIONS_LISTEN', '[127.0.0.1]:', /not an IP address with a port/],
  ['SIDECAR_GCE_CHANNELS', 'ch_a', /which is not CHANNEL_ID=PORT/],
  ['SIDECAR_GCE_CHANNELS', 'ch_a=1,ch_a=2', /names the channel ch_a twice/],
  ['SIDECAR_GCE_CHANNELS', 'ch_a=1,ch_b=1', /gives the port 1 to two channels/],
  ['SIDECAR_BROKER_ADDR', 'https://broker:8443', /is not HOST:PORT/],
  ['SIDECAR_BROKER_ADDR', 'broker', /is not HOST:PORT/],
  ['SIDECAR_TRUST_DOMAIN', 'Example.org', /is malformed/],
  ['SIDECAR_SPIFFE_ID', 'spiffe://token-broker.internal', /is malformed/],
  ['SIDECAR_SPIFFE_ID', 'spiffe://elsewhere.example/workload/uploads', /is not in the trust domain/],
  ['SIDECAR_BROKER_SPIFFE_ID', 'spiffe://elsewhere.example/broker', /is not in the trust domain/],
  ['VAULT_ADDR', 'file:///etc/passwd', /is not an http or https URL/],
  ['VAULT_CACERT', '', /is empty/],
  ['SIDECAR_VAULT_PKI_MOUNT', '../sys', /is not a path of a mount/],
  ['SIDECAR_VAULT_SECRET_ID', 'in-the-open', /is not a setting of the sidecar/],
];

for (const [name, value, problem] of refused)
  test(`refuses ${name}=${value || '(empty)'}`, () => {
    const problems = problemsOf({ ...least, [name]: value });
    assert.equal(problems.length, 1);
    assert.match(problems[0] ?? '', problem);
    assert.ok(problems[0]?.startsWith(`${name} `));
  });
