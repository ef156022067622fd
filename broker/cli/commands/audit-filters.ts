/** What `broker audit list`, `follow` and `export` have in common: which records, and in which format. */
import { type Command, InvalidArgumentError, Option } from 'commander';
import { auditFormats } from '../audit-format.ts';
import type { AuditQuery } from '../audit-records.ts';
import { readInstant } from '../instants.ts';

export interface FilterOptions {
  readonly tenant?: string;
  readonly channel?: string;
  readonly action?: string;
  readonly result?: string;
  readonly caller?: string;
  readonly requestId?: string;
  readonly since?: string;
  readonly until?: string;
}

export function withFilters(command: Command): Command {
  return command
    .option('--tenant <name>', 'whose record (default: the installation’s)')
    .option('--channel <id>', 'only of this channel')
    .option('--action <name>', 'only this action, for example token.release')
    .option('--result <code>', 'only with this result: ok, or an error code')
    .option('--caller <name>', 'only of this subject or SPIFFE ID')
    .option('--request-id <id>', 'only of this request: its id, or what its caller named it')
    .option('--since <instant>', 'from then on: 2026-03-01T12:00:00Z, or 2h, 7d ago')
    .option('--until <instant>', 'before then, written alike');
}

export function withFormat(command: Command): Command {
  const format = new Option('--format <format>', 'JSON Lines, CEF or OCSF').choices(auditFormats).default('jsonl');
  return command.addOption(format);
}

/** In the API's words. */
export function queryOf(options: FilterOptions): AuditQuery {
  const now = new Date();
  const { tenant, channel, action, result, caller, requestId, since, until } = options;
  const query = {
    ...{ tenant, channel, action, result, caller, request_id: requestId },
    since: since && readInstant('--since', since, now),
    until: until && readInstant('--until', until, now),
  };
  return Object.fromEntries(Object.entries(query).filter((pair): pair is [string, string] => pair[1] !== undefined));
}

/** A number from 1 on, as an option. */
export function count(text: string): number {
  if (!/^[1-9]\d{0,8}$/.test(text)) throw new InvalidArgumentError('It must be a whole number from 1 on.');
  return Number(text);
}
