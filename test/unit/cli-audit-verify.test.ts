import assert from 'node:assert/strict';
import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { appended, type ChainHead, emptyChain } from '../../broker/domain/audit-chain.ts';
import { type Checkpoint, checkpointBytes } from '../../broker/domain/audit-checkpoint.ts';
import { checkpointJson, type ExportLine, exportLine } from '../../broker/domain/audit-export.ts';
import { runHere } from '../support/cli-process.ts';
import { type Scope, useFolder } from '../support/scope.ts';
import { aRecord, minute } from '../support/store-fixtures.ts';

const vaults = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const another = generateKeyPairSync('ec', { namedCurve: 'P-256' });

function signed({ chain, seq, hash }: ChainHead, privateKey: KeyObject): Checkpoint {
  const unsigned = { chain, seq, hash, at: minute(seq) };
  const key = { key: privateKey, dsaEncoding: 'ieee-p1363' } as const;
  return {
    ...unsigned,
    keyVersion: 1,
    signature: sign('sha256', checkpointBytes(unsigned), key).toString('base64url'),
  };
}

/** Five records, of which Vault has signed three. */
function anExport({ privateKey, publicKey } = vaults): {
  readonly lines: readonly string[];
  readonly anchor: Checkpoint;
} {
  const { x = '', y = '' } = publicKey.export({ format: 'jwk' });
  const lines: ExportLine[] = [
    { type: 'header', chain: 'acme', exportedAt: minute(9) },
    { type: 'key', key: { version: 1, jwk: { kty: 'EC', crv: 'P-256', x, y } } },
  ];
  let head = emptyChain('acme');
  let anchor: Checkpoint | undefined;
  for (let n = 1; n <= 5; n += 1) {
    const record = aRecord('channel.show', { requestId: `req-${n}` });
    const link = appended(head, record);
    lines.push({ type: 'record', chain: 'acme', seq: n, version: link.version, hash: link.hash, record });
    head = link;
    if (n === 3) anchor = signed(head, privateKey);
    if (n === 3 && anchor) lines.push({ type: 'checkpoint', checkpoint: anchor });
  }
  lines.push({ type: 'end', head: { chain: 'acme', seq: head.seq, hash: head.hash } });
  return { lines: lines.map(exportLine), anchor: anchor ?? assert.fail() };
}

async function verify(
  scope: Scope,
  lines: readonly string[],
  own: Readonly<Record<string, string>> = {},
  ...more: string[]
) {
  const folder = await useFolder(scope);
  await writeFile(join(folder, 'acme.jsonl'), lines.map((line) => `${line}\n`).join(''));
  const options: string[] = [];
  for (const [option, content] of Object.entries(own)) {
    await writeFile(join(folder, option), content);
    options.push(`--${option}`, join(folder, option));
  }
  return runHere({}, 'audit', 'verify', join(folder, 'acme.jsonl'), ...options, ...more);
}

const pem = ({ publicKey }: { publicKey: KeyObject }) => publicKey.export({ format: 'pem', type: 'spki' }).toString();
/** As `vault read -format=json transit/keys/audit-checkpoint` prints it. */
const vaultJson = (pair = vaults) =>
  JSON.stringify({ data: { name: 'audit-checkpoint', keys: { 1: { public_key: pem(pair) } } } });

test('an export that nobody changed is ok, and what that does not prove is said', async (t) => {
  const { exitCode, stdout, stderr } = await verify(t, anExport().lines);
  assert.equal(exitCode, 0, stderr);
  assert.equal(
    stdout,
    [
      'verdict       ok',
      'record of     acme',
      'verified      5 records, 1 to 5',
      'signed up to  3, by 1 checkpoint',
      'public key    the file’s own',
      'anchor        none',
      '',
    ].join('\n'),
  );
  assert.match(stderr, /Records 4 to 5 are not signed yet/);
  assert.match(stderr, /vault read -format=json transit\/keys\/audit-checkpoint > key.json/);
});

for (const [what, key] of [
  ['JSON of `vault read`', vaultJson()],
  ['PEM', pem(vaults)],
] as const) {
  test(`the auditor’s own key is taken from ${what}`, async (t) => {
    const { lines, anchor } = anExport();
    const own = { 'public-key': key, anchor: JSON.stringify({ data: { data: checkpointJson(anchor), metadata: {} } }) };
    const { exitCode, stdout, stderr } = await verify(t, lines, own);
    assert.equal(exitCode, 0, stderr);
    assert.match(stdout, /^public key +yours$/m);
    assert.match(stdout, /^anchor +yours, at 3$/m);
    assert.doesNotMatch(stderr, /transit\/keys/);
  });
}

test('a file that was signed anew with another key does not pass the auditor’s', async (t) => {
  const { lines } = anExport(another);
  assert.equal((await verify(t, lines)).exitCode, 0);
  const { exitCode, stderr } = await verify(t, lines, { 'public-key': vaultJson() });
  assert.equal(exitCode, 1);
  assert.match(stderr, /\[AUDIT_SIGNATURE\]/);
});

test('the first bad record is named, the exit code is 1, and scripts get the whole verdict', async (t) => {
  const { lines } = anExport();
  const changed = lines.map((line) => line.replace('"requestId":"req-2"', '"requestId":"req-9"'));
  const { exitCode, stdout, stderr } = await verify(t, changed);
  assert.equal(exitCode, 1);
  assert.match(stdout, /^verdict +NOT as it was recorded\nfirst bad record +2$/m);
  assert.match(
    stderr,
    /error: This is not the record as it was written\. \[AUDIT_CONTENT\]\n {2}- record 2 does not fit/,
  );
  const asJson = await verify(t, changed, {}, '-o', 'json');
  assert.equal(asJson.exitCode, 1);
  assert.equal(JSON.parse(asJson.stdout).fault.seq, 2);
});

test('a file that is cut, or none, is told as such', async (t) => {
  const { lines } = anExport();
  assert.match((await verify(t, lines.slice(0, -1))).stderr, /\[AUDIT_INCOMPLETE\]/);
  assert.match((await verify(t, ['hello'])).stderr, /line 1 is not a line of an export/);
  const { exitCode, stderr } = await verify(t, lines, { 'public-key': 'hello' });
  assert.equal(exitCode, 1);
  assert.match(stderr, /hint: Make it with `vault read -format=json transit\/keys\/audit-checkpoint`/);
});
