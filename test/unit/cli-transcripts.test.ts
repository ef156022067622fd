/**
 * Plays the transcripts beside this file against the real HTTP server. A transcript is what a terminal shows:
 *
 *   # a sentence that names the test; further lines of the block say what it is about
 *   $ broker COMMAND…          the command; `NAME=VALUE` before it sets its environment, `< TEXT` gives stdin
 *   text                       stdout
 *   2> text                    stderr
 *   [3]                        the exit code, where it is not 0
 *
 * Where a line ends in `…`, only its beginning counts. `{home}` is the folder with `alice.jwt` (an
 * operator, the default) and `bob.jwt`; nothing listens at `{closed}`.
 */
import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough, Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import { createCli } from '../../broker/cli/cli.ts';
import type { Processes, VaultCommands } from '../../broker/cli/command-context.ts';
import type { PrunableStretch } from '../../broker/domain/audit-prune.ts';
import { Secret } from '../../broker/domain/secret.ts';
import { BrokerError } from '../../broker/errors.ts';
import { startHttpServer } from '../support/http-server.ts';

const folder = new URL('./cli-transcripts/', import.meta.url);

const steps = [
  { name: 'secrets engine transit/', action: 'create', reason: 'is not there' },
  { name: 'policy token-broker', action: 'change', reason: 'differs in policy' },
  { name: 'PKI role broker', action: 'ok', reason: 'is as it should be' },
] as const;

const vault: VaultCommands = {
  plan: async () => steps,
  apply: async (onStep) => {
    for (const step of steps) onStep(step);
    return steps;
  },
  planLogin: async () => steps,
  applyLogin: async (_login, onStep) => {
    for (const step of steps) onStep(step);
    return steps;
  },
  addWorkload: async (name, proof) => {
    const path = 'namespace' in proof ? `ns/${proof.namespace}/sa/${proof.serviceAccount}` : `workload/${name}`;
    return { action: 'create', spiffeId: `spiffe://token-broker.internal/${path}` };
  },
  destroyTenantKey: async () => undefined,
  tenantKeyPath: async (tenant) => `transit/keys/tenant-${tenant}`,
  issueCredential: async (role) => {
    if (role !== 'uploader') throw new BrokerError('NOT_FOUND', { detail: `there is no AppRole role ${role}` });
    return { roleId: 'role-id-1', secretId: new Secret('canary-secret-id') };
  },
  issueWrappedCredential: async () => ({ roleId: 'role-id-1', wrappingToken: new Secret('canary-wrapping-token') }),
};

/** What a prune finds. */
const kept = {
  before: new Date('2025-01-25T12:00:00Z'),
  acme: stretch('acme', 3_001, 4_000),
  installation: stretch('', 1, 7),
};

function stretch(chain: string, from: number, seq: number): PrunableStretch {
  const at = new Date('2025-01-20T08:00:00Z');
  return { from, through: { chain, seq, hash: Buffer.alloc(32, 0xab), at, keyVersion: 1, signature: '' } };
}

const processes: Processes = {
  serve: async () => {
    throw new BrokerError('CONFIG_INVALID', { problems: ['VAULT_ADDR is not set.', 'BROKER_LISTEN is empty.'] });
  },
  migrate: async () => ({ migrations: ['0001-first'], grantedTo: 'broker' }),
  retention: {
    plan: async () => [
      { tenant: 'acme', kind: 'revoked', count: 2 },
      { tenant: 'acme', kind: 'request', count: 31 },
    ],
    run: async (onRun) => {
      onRun(20, 33);
      onRun(33, 33);
      return 33;
    },
  },
  prune: {
    plan: async () => ({ before: kept.before, due: [kept.acme, kept.installation] }),
    run: async (onBatch) => {
      onBatch(1_000, 1_007);
      onBatch(1_007, 1_007);
      return { before: kept.before, pruned: [kept.acme, kept.installation] };
    },
  },
};

/** Runs one line as a shell would, as far as the transcripts need a shell. */
async function play(line: string, environment: Record<string, string>): Promise<string> {
  const [command = '', input = ''] = line.split(' < ');
  const words = [...command.matchAll(/"([^"]*)"|(\S+)/g)].map(([, quoted, bare]) => quoted ?? bare ?? '');
  const own = Object.fromEntries(words.slice(0, words.indexOf('broker')).map((word) => word.split('=')));
  const stdout = new PassThrough();
  const stderr = new PassThrough();
  const run = createCli({
    environment: { ...environment, ...own },
    streams: { stdin: Readable.from([input]), stdout, stderr },
    version: '1.2.3',
    processes,
    vault,
  });
  const exitCode = await run(words.slice(words.indexOf('broker') + 1));
  stdout.end();
  stderr.end();
  const errors = (await text(stderr)).replace(/^(?=.)/gm, '2> ');
  return `$ ${line}\n${await text(stdout)}${errors}${exitCode === 0 ? '' : `[${exitCode}]\n`}`;
}

for (const file of (await readdir(folder)).filter((name) => name.endsWith('.txt'))) {
  const blocks = (await readFile(new URL(file, folder), 'utf8')).split(/^(?=# )/m);
  for (const block of blocks) {
    const [title = '', ...lines] = block.trim().split('\n');
    test(`${file.replace('.txt', '')}: ${title.slice(2)}`, async (t) => {
      const home = await mkdtemp(join(tmpdir(), 'broker-cli-'));
      t.after(() => rm(home, { recursive: true }));
      const closed = await closedAddress();
      await using server = await startHttpServer();
      for (const name of ['alice', 'bob']) await writeFile(join(home, `${name}.jwt`), `${name}-token\n`);
      const environment = { HOME: home, BROKER_URL: server.url, BROKER_TOKEN_FILE: join(home, 'alice.jwt') };
      const place = (shown: string): string => shown.replaceAll('{closed}', closed).replaceAll('{home}', home);

      const wanted = place(lines.filter((line) => !line.startsWith('#')).join('\n')).trimEnd();
      const played: string[] = [];
      for (const line of wanted.split('\n').filter((one) => one.startsWith('$ '))) {
        played.push(await play(line.slice(2), environment));
      }
      const shown = played
        .join('')
        .replaceAll(/[ \t]+$/gm, '')
        .trimEnd();
      assert.equal(shorten(shown, wanted), wanted);
      assert.doesNotMatch(shown.replaceAll(/^\$ .*/gm, ''), /alice-token|canary/);
    });
  }
}

async function closedAddress(): Promise<string> {
  await using server = await startHttpServer();
  return server.url;
}

/** Cuts the lines that the transcript cuts. */
function shorten(shown: string, wanted: string): string {
  const model = wanted.split('\n');
  return shown
    .split('\n')
    .map((line, index) => {
      const beginning = model[index]?.endsWith('…') ? model[index].slice(0, -1) : undefined;
      return beginning !== undefined && line.startsWith(beginning) ? `${beginning}…` : line;
    })
    .join('\n');
}
