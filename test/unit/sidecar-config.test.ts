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
  assert.deepEqual(config.login, {
    method: 'approle',
    mount: 'approle',
    roleIdFile: '/run/secrets/role-id',
    secretId: { file: '/run/secrets/secret-id' },
  });
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

test('reads who may ask, where, and by which files', () => {
  const usual = loadConfig(least);
  assert.equal(usual.socket, undefined);
  assert.deepEqual(usual.credentialFiles.channels, []);
  assert.deepEqual([usual.credentialFiles.mode, usual.credentialFiles.owner], [0o600, undefined]);
  assert.deepEqual([usual.callers, usual.requestsPerSecond, usual.prefetch], ['*=self|uid:0|socket', 200, []]);

  const set = loadConfig({
    ...least,
    SIDECAR_SOCKET: '/run/sidecar/sidecar.sock',
    SIDECAR_SOCKET_MODE: '0600',
    SIDECAR_SOCKET_GROUP: 'uploaders',
    SIDECAR_CREDENTIAL_FILES: 'ch_a, ch_b',
    SIDECAR_CREDENTIAL_FILE_MODE: '640',
    SIDECAR_CREDENTIAL_FILE_OWNER: '1001:1002',
    SIDECAR_CALLERS: 'ch_a=uid:1001,*=self',
    SIDECAR_PREFETCH: '*',
  });
  assert.deepEqual(set.socket, { path: '/run/sidecar/sidecar.sock', mode: 0o600, group: 'uploaders' });
  assert.deepEqual(set.credentialFiles.channels, ['ch_a', 'ch_b']);
  assert.deepEqual([set.credentialFiles.mode, set.credentialFiles.owner], [0o640, { uid: 1001, gid: 1002 }]);
  assert.deepEqual([set.callers, set.prefetch], ['ch_a=uid:1001,*=self', '*']);
});

test('reports every problem at once', () => {
  const problems = problemsOf({ SIDECAR_LISTEN: '0.0.0.0:80', SIDECAR_LISTNE: 'x', VAULT_ADDR: 'vault' });
  assert.deepEqual(
    problems.map((problem) => problem.split(' ')[0]),
    [
      'SIDECAR_BROKER_ADDR',
      'SIDECAR_SPIFFE_ID',
      'VAULT_ADDR',
      'SIDECAR_LISTEN',
      'SIDECAR_LISTNE',
      'SIDECAR_VAULT_ROLE_ID_FILE',
      'neither',
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
  ['SIDECAR_SOCKET', 'sidecar.sock', /is not an absolute path/],
  ['SIDECAR_SOCKET', `/${'x'.repeat(107)}`, /is longer than 107 bytes/],
  ['SIDECAR_SOCKET_MODE', '0666', /lets everybody write/],
  ['SIDECAR_SOCKET_MODE', '888', /is not an octal mode/],
  ['SIDECAR_SOCKET_GROUP', 'a:b', /is not a group/],
  ['SIDECAR_CREDENTIAL_FILES', '../etc', /which is not the id of a channel/],
  ['SIDECAR_CREDENTIAL_FILES', 'ch_a,ch_a', /names the channel ch_a twice/],
  ['SIDECAR_CREDENTIAL_FILE_OWNER', 'worker', /is not UID:GID/],
  ['SIDECAR_CALLERS', 'ch_a=root', /is malformed: root is none of/],
  ['SIDECAR_CALLERS', '', /is malformed: it lets nobody read anything/],
  ['SIDECAR_REQUESTS_PER_SECOND', '0', /is not a number from 1/],
  ['SIDECAR_BROKER_ADDR', 'https://broker:8443', /is not HOST:PORT/],
  ['SIDECAR_BROKER_ADDR', 'broker', /is not HOST:PORT/],
  ['SIDECAR_TRUST_DOMAIN', 'Example.org', /is malformed/],
  ['SIDECAR_SPIFFE_ID', 'spiffe://token-broker.internal', /is malformed/],
  ['SIDECAR_SPIFFE_ID', 'spiffe://elsewhere.example/workload/uploads', /is not in the trust domain/],
  ['SIDECAR_BROKER_SPIFFE_ID', 'spiffe://elsewhere.example/broker', /is not in the trust domain/],
  ['VAULT_ADDR', 'file:///etc/passwd', /is not an http or https URL/],
  ['VAULT_CACERT', '', /is empty/],
  ['SIDECAR_VAULT_PKI_MOUNT', '../sys', /is not a path of a mount/],
  ['SIDECAR_VAULT_AUTH', 'ldap', /is not one of approle, kubernetes, jwt, cert, token/],
  ['SIDECAR_VAULT_AUTH_MOUNT', '../sys', /is not a path of a mount/],
  ['SIDECAR_VAULT_SECRET_ID', 'in-the-open', /is not a setting of the sidecar/],
];

for (const [name, value, problem] of refused)
  test(`refuses ${name}=${value || '(empty)'}`, () => {
    const problems = problemsOf({ ...least, [name]: value });
    assert.equal(problems.length, 1);
    assert.match(problems[0] ?? '', problem);
    assert.ok(problems[0]?.startsWith(`${name} `));
  });

const { SIDECAR_VAULT_ROLE_ID_FILE: _roleId, SIDECAR_VAULT_SECRET_ID_FILE: _secretId, ...without } = least;

const chosen: readonly [settings: Record<string, string>, login: object, pkiRole: string][] = [
  [
    { SIDECAR_VAULT_AUTH: 'kubernetes', SIDECAR_VAULT_ROLE: 'uploads', SIDECAR_VAULT_JWT_FILE: '/run/token' },
    { method: 'kubernetes', mount: 'kubernetes-workloads', role: 'uploads', jwtFile: '/run/token' },
    'workload-kubernetes',
  ],
  [
    {
      SIDECAR_VAULT_AUTH: 'jwt',
      SIDECAR_VAULT_AUTH_MOUNT: 'jwt/one',
      SIDECAR_VAULT_ROLE: 'uploads',
      SIDECAR_VAULT_JWT_FILE: '/run/token',
      SIDECAR_VAULT_PKI_ROLE: 'mine',
    },
    { method: 'jwt', mount: 'jwt/one', role: 'uploads', jwtFile: '/run/token' },
    'mine',
  ],
  [
    {
      SIDECAR_VAULT_AUTH: 'cert',
      SIDECAR_VAULT_ROLE: 'uploads',
      SIDECAR_VAULT_CLIENT_CERT_FILE: '/run/tls.crt',
      SIDECAR_VAULT_CLIENT_KEY_FILE: '/run/tls.key',
    },
    {
      method: 'cert',
      mount: 'cert-workloads',
      role: 'uploads',
      certificateFile: '/run/tls.crt',
      keyFile: '/run/tls.key',
    },
    'workload-cert',
  ],
  [
    { SIDECAR_VAULT_AUTH: 'token', SIDECAR_VAULT_TOKEN_FILE: '/run/vault-token' },
    { method: 'token', tokenFile: '/run/vault-token' },
    'workload',
  ],
  [
    {
      SIDECAR_VAULT_ROLE_ID_FILE: '/run/role-id',
      SIDECAR_VAULT_WRAPPED_SECRET_ID_FILE: '/run/wrapped',
      SIDECAR_VAULT_SECRET_ID_KEPT_IN: '/run/kept',
    },
    {
      method: 'approle',
      mount: 'approle',
      roleIdFile: '/run/role-id',
      secretId: { wrappedFile: '/run/wrapped', keptIn: '/run/kept' },
    },
    'workload',
  ],
];

for (const [set, login, pkiRole] of chosen)
  test(`logs in as it is told: ${JSON.stringify(Object.values(set))}`, () => {
    const config = loadConfig({ ...without, ...set });
    assert.deepEqual(config.login, login);
    assert.equal(config.pki.role, pkiRole);
  });

test('tells all at once which settings of the login are missing, and which are another method’s', () => {
  const problems = problemsOf({
    ...least,
    VAULT_ADDR: 'http://vault.example.com:8200',
    SIDECAR_VAULT_AUTH: 'cert',
    SIDECAR_VAULT_JWT_FILE: '/run/token',
    SIDECAR_LISTEN: '0.0.0.0:1',
  });
  assert.deepEqual(
    problems.map((problem) => problem.split(';')[0]),
    [
      'SIDECAR_LISTEN is not a loopback address with a port, for example 127.0.0.1:7070',
      'SIDECAR_VAULT_ROLE is not set',
      'SIDECAR_VAULT_CLIENT_CERT_FILE is not set',
      'SIDECAR_VAULT_CLIENT_KEY_FILE is not set',
      'SIDECAR_VAULT_ROLE_ID_FILE is not for SIDECAR_VAULT_AUTH=cert',
      'SIDECAR_VAULT_SECRET_ID_FILE is not for SIDECAR_VAULT_AUTH=cert',
      'SIDECAR_VAULT_JWT_FILE is not for SIDECAR_VAULT_AUTH=cert',
      'VAULT_ADDR is not https, which SIDECAR_VAULT_AUTH=cert needs',
    ],
  );
});

test('a secret id comes in clear or wrapped, not both, and only a wrapped one is kept', () => {
  const both = problemsOf({ ...least, SIDECAR_VAULT_WRAPPED_SECRET_ID_FILE: '/run/wrapped' });
  assert.match(both.join(), /both set/);
  const kept = problemsOf({ ...least, SIDECAR_VAULT_SECRET_ID_KEPT_IN: '/run/kept' });
  assert.match(kept.join(), /without SIDECAR_VAULT_WRAPPED_SECRET_ID_FILE/);
});
