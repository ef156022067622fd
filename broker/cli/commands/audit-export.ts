import { type FileHandle, open, rename, rm } from 'node:fs/promises';
import type { Command } from 'commander';
import type { ApiClient } from '../api-client.ts';
import { type AuditFormat, formatRecord } from '../audit-format.ts';
import { recordsAfter } from '../audit-records.ts';
import { CliError, exitCodes } from '../cli-error.ts';
import type { CommandContext } from '../command-context.ts';
import type { Output } from '../output.ts';
import { count, type FilterOptions, queryOf, withFilters, withFormat } from './audit-filters.ts';

type ExportOptions = FilterOptions & { format: AuditFormat; from?: number; out?: string };

const progressEvery = 5_000;

/** `broker audit export` */
export function addAuditExportCommand(audit: Command, { api, output, version }: CommandContext): void {
  withFormat(withFilters(audit.command('export')))
    .description('write a whole record, ready for `broker audit verify`; or some of it, for another system')
    .option('--from <seq>', 'only from this record on', count)
    .option('--out <file>', 'write it there (default: stdout)')
    .action(async ({ out, ...options }: ExportOptions) => {
      const lines = linesOf(api(), options, version);
      const written = await (out === undefined ? toStdout(lines, output) : toFile(lines, out, output));
      output.progress(undefined);
      if (out !== undefined) output.say(`${written} lines written to ${out}`);
      if (out !== undefined && isWhole(options))
        output.hint(`Prove that it was not changed: broker audit verify ${out}`);
      if (options.format === 'jsonl' && !isWhole(options)) {
        output.hint('Without filters the export is whole, and can be verified.');
      }
    });
}

/** Only a chain without gaps proves anything. */
function isWhole({ format, tenant: _chain, from: _from, ...filters }: ExportOptions): boolean {
  return format === 'jsonl' && Object.values(filters).every((filter) => filter === undefined);
}

async function* linesOf(api: ApiClient, options: ExportOptions, version: string): AsyncGenerator<string> {
  if (!isWhole(options)) {
    const after = (options.from ?? 1) - 1;
    for await (const record of recordsAfter(api, queryOf(options), after, undefined, async () => {})) {
      yield formatRecord(record, options.format, version);
    }
    return;
  }
  const { tenant, from } = options;
  const query = new URLSearchParams({ ...(tenant && { tenant }), ...(from !== undefined && { from: String(from) }) });
  let last = '';
  for await (const line of api.lines(`/v1/audit/export?${query}`)) {
    last = line;
    yield line;
  }
  if (!last.startsWith('{"type":"end"')) {
    throw new CliError('The export ends too early.', { exitCode: exitCodes.unavailable, hints: ['Try again.'] });
  }
}

async function toStdout(lines: AsyncIterable<string>, output: Output): Promise<number> {
  let written = 0;
  for await (const line of lines) {
    if (!(await output.line(line))) break;
    written += 1;
  }
  return written;
}

/** The file is there when it is whole, and not before. */
async function toFile(lines: AsyncIterable<string>, path: string, output: Output): Promise<number> {
  const temporary = `${path}.part`;
  const file = await openForWriting(temporary);
  let written = 0;
  try {
    for await (const line of lines) {
      await file.write(`${line}\n`);
      written += 1;
      if (written % progressEvery === 0) output.progress(`${written} lines written`);
    }
    await file.sync();
    await file.close();
    await rename(temporary, path);
    return written;
  } catch (error) {
    output.progress(undefined);
    await file.close().catch(() => undefined);
    await rm(temporary, { force: true });
    throw error;
  }
}

async function openForWriting(path: string): Promise<FileHandle> {
  try {
    return await open(path, 'w', 0o600);
  } catch (cause) {
    throw new CliError(`The file cannot be written: ${path}`, { exitCode: exitCodes.failed, cause });
  }
}
