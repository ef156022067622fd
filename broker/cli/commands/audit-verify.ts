import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import type { Command } from 'commander';
import { type AuditVerdict, verifyExport } from '../../domain/audit-verify.ts';
import { readAnchor, readPublicKeys } from '../audit-keys.ts';
import { CliError, exitCodes } from '../cli-error.ts';
import { type CommandContext, type OutputOption, withOutput } from '../command-context.ts';
import { type Fact, type Output, showInstant } from '../output.ts';

interface VerifyOptions extends OutputOption {
  readonly publicKey?: string;
  readonly anchor?: string;
}

const progressEvery = 20_000;

/** `broker audit verify`: needs neither broker nor database nor Vault. */
export function addAuditVerifyCommand(audit: Command, { output, secretSource }: CommandContext): void {
  withOutput(audit.command('verify'))
    .argument('<file>', 'an export, or - for stdin')
    .description('prove that an export was not changed; works without broker, database and Vault')
    .option('--public-key <file>', 'the key as you took it from Vault (default: the one in the file)')
    .option('--anchor <file>', 'the chain’s anchor as you took it from Vault (default: the one in the file)')
    .action(async (file: string, { publicKey, anchor, output: format }: VerifyOptions) => {
      const own = {
        ...(publicKey !== undefined && { keys: await readPublicKeys(publicKey) }),
        ...(anchor !== undefined && { anchor: await readAnchor(anchor) }),
      };
      const size = file === '-' ? undefined : await sizeOf(file);
      const input = file === '-' ? secretSource.stdin : createReadStream(file);
      const verdict = await verifyExport(told(input, size, output), own);
      output.progress(undefined);
      if (format === 'json') output.json(verdict);
      else output.facts(factsOf(verdict));
      if (verdict.fault) throw broken(verdict);
      if (format === 'table') advise(verdict, output);
    });
}

/** The lines, with the progress on the terminal. */
async function* told(input: Readable, size: number | undefined, output: Output): AsyncGenerator<string> {
  let lines = 0;
  let bytes = 0;
  for await (const line of createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY })) {
    lines += 1;
    bytes += Buffer.byteLength(line) + 1;
    if (lines % progressEvery === 0) {
      const percent = size ? `, ${Math.floor((100 * bytes) / size)} %` : '';
      output.progress(`${lines} lines verified${percent}`);
    }
    yield line;
  }
}

async function sizeOf(file: string): Promise<number> {
  try {
    return (await stat(file)).size;
  } catch (cause) {
    throw new CliError(`The file cannot be read: ${file}`, { exitCode: exitCodes.failed, cause });
  }
}

function factsOf(verdict: AuditVerdict): readonly Fact[] {
  const { chain, fault, records, from, to, checkpoints, signedTo, keysFrom, anchorFrom, anchoredTo, partFrom } =
    verdict;
  const source = { auditor: 'yours', file: 'the file’s own', none: 'none' } as const;
  return [
    ['verdict', fault ? 'NOT as it was recorded' : 'ok'],
    [
      'first bad record',
      fault && (fault.through > fault.seq ? `${fault.seq} (to ${fault.through})` : String(fault.seq)),
    ],
    ['record of', chain === '' ? 'the installation' : chain],
    ['verified', records === 0 ? 'no record' : `${counted(records, 'record')}, ${from} to ${to}`],
    ['deleted by age', deletedByAge(verdict)],
    ['exported', partFrom === undefined ? undefined : `from record ${partFrom} on, as it was asked for`],
    ['signed up to', signedTo === 0 ? 'nothing' : `${signedTo}, by ${counted(checkpoints, 'checkpoint')}`],
    ['public key', source[keysFrom]],
    ['anchor', anchoredTo === undefined ? source[anchorFrom] : `${source[anchorFrom]}, at ${anchoredTo}`],
  ];
}

/** What the chain itself says of its beginning. */
function deletedByAge({ pruned }: AuditVerdict): string | undefined {
  if (!pruned) return undefined;
  const { through, seq, at, before } = pruned;
  const [deleted, recorded] = [at, before].map((instant) => showInstant(instant.toISOString()));
  return `up to ${through}, recorded until ${recorded}; by record ${seq} of ${deleted}`;
}

function counted(number: number, what: string): string {
  return `${number} ${what}${number === 1 ? '' : 's'}`;
}

function broken({ fault }: AuditVerdict): CliError {
  return new CliError('This is not the record as it was written.', {
    exitCode: exitCodes.failed,
    code: `AUDIT_${fault?.kind.toUpperCase()}`,
    problems: fault ? [fault.what] : [],
    hints: ['Keep the file and the database as they are, and compare with an earlier export.'],
  });
}

/** What this verdict does not prove yet. */
function advise(verdict: AuditVerdict, output: Output): void {
  const { to, signedTo, keysFrom, from, partFrom, pruned, anchoredTo } = verdict;
  if (pruned)
    output.hint('Whether that was old enough is for you to say: compare it with how long records are to be kept.');
  if (partFrom !== undefined && partFrom > 1)
    output.hint(`What is before record ${from} was not exported, nor verified.`);
  if (anchoredTo !== undefined && anchoredTo < from - 1) {
    output.hint(`The anchor is of record ${anchoredTo}, which is not here: take a newer one.`);
  }
  if (to > signedTo) {
    output.hint(
      `Records ${signedTo + 1} to ${to} are not signed yet: whoever writes the database could have written them anew.`,
    );
  }
  if (keysFrom !== 'auditor') {
    output.hint('Whoever made the file could have put a key of their own into it. Take it from Vault yourself:');
    output.say('        vault read -format=json transit/keys/audit-checkpoint > key.json');
    output.say('        broker audit verify FILE --public-key key.json');
  }
}
