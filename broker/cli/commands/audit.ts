import { setTimeout as timer } from 'node:timers/promises';
import { type Command, Option } from 'commander';
import type { AuditEntryAnswer, AuditHeadAnswer } from '../../http/api/schemas.ts';
import { type AuditFormat, formatRecord } from '../audit-format.ts';
import { newestRecords, recordsAfter } from '../audit-records.ts';
import { type CommandContext, type OutputOption, withOutput } from '../command-context.ts';
import { instantsIn } from '../instants.ts';
import { addAuditExportCommand } from './audit-export.ts';
import { count, type FilterOptions, queryOf, withFilters, withFormat } from './audit-filters.ts';
import { addAuditPruneCommand } from './audit-prune.ts';
import { addAuditVerifyCommand } from './audit-verify.ts';

type ListOptions = FilterOptions & OutputOption & { limit: number; before?: number; timeZone: string; wide?: boolean };
type FollowOptions = FilterOptions & { after?: number; format: AuditFormat };

/** `broker audit list|follow|export|verify|prune|accept-restore` */
export function addAuditCommands(program: Command, context: CommandContext): void {
  const { api, output, version, interrupted } = context;
  const audit = program.command('audit').description('who did, or was refused, what');

  withOutput(withFilters(audit.command('list')))
    .description('show the newest records of a tenant, or of the installation')
    .option('--limit <n>', 'at most so many', count, 50)
    .option('--before <seq>', 'go on backwards from here', count)
    .option('--wide', 'with address, channel, request id, and why')
    .option('--time-zone <zone>', 'show times there, for example Europe/Berlin', 'UTC')
    .action(async (options: ListOptions) => {
      const show = instantsIn(options.timeZone);
      const before = options.before === undefined ? {} : { before: String(options.before) };
      const answer = await newestRecords(api(), { ...queryOf(options), ...before }, options.limit);
      if (options.output === 'json') return output.json(answer);
      const rows = answer.records.map((one) => [
        ...[String(one.seq), show(one.at), one.action, one.result, shortName(one.caller)],
        ...(options.wide ? [one.ip ?? '', one.channel ?? '', one.request_id, whyOf(one)] : []),
      ]);
      const headings = ['seq', 'time', 'action', 'result', 'caller'];
      const more = options.wide ? ['ip', 'channel', 'request id', 'why'] : [];
      output.table([...headings, ...more], rows, 'There is no such record.');
      if (answer.next !== null) output.hint(`There are earlier records: add --before ${answer.next}`);
    });

  withFormat(withFilters(audit.command('follow')))
    .description('print new records as they are written, until Ctrl-C')
    .option('--after <seq>', 'begin after this record (default: with the next one)', count)
    .action(async (options: FollowOptions) => {
      const client = api();
      const query = queryOf(options);
      const signal = interrupted();
      const after = options.after ?? (await newestRecords(client, query, 1)).head;
      const onOutage = ({ message }: Error): void => output.say(`${message} Trying again until it does.`);
      for await (const record of recordsAfter(client, query, after, { signal, onOutage }, sleep)) {
        if (!(await output.line(formatRecord(record, options.format, version)))) return;
      }
    });

  const restore = withOutput(audit.command('accept-restore'))
    .description(
      'accept that a database was restored from a backup, so that Vault signs its chain again (for operators)',
    )
    .addOption(new Option('--tenant <name>', 'whose chain').conflicts('installation'))
    .option('--installation', 'the chain of the installation')
    .requiredOption('--reason <text>', 'what was restored and why; it goes on the record');
  restore.action(async (options: OutputOption & { tenant?: string; installation?: true; reason: string }) => {
    const { tenant, installation, reason } = options;
    if (!tenant && !installation) restore.error('error: say whose chain: --tenant NAME or --installation');
    const head = await api().post<AuditHeadAnswer>('/v1/audit/restores', { ...(tenant && { tenant }), reason });
    if (options.output === 'json') return output.json(head);
    output.facts([
      ['chain', head.chain ?? 'the installation’s'],
      ['signed to record', String(head.seq)],
      ['hash', head.hash],
    ]);
  });

  addAuditExportCommand(audit, context);
  addAuditVerifyCommand(audit, context);
  addAuditPruneCommand(audit, context);
}

/** A SPIFFE ID without its trust domain, which is everybody's. */
function shortName(caller: string): string {
  return caller.replace(/^spiffe:\/\/[^/]+\//, '');
}

/** The reason that was given, or why it was refused. */
function whyOf({ facts }: AuditEntryAnswer): string {
  return [facts.reason, facts.detail].filter((text) => typeof text === 'string').join('; ');
}

async function sleep(ms: number, signal: AbortSignal): Promise<void> {
  await timer(ms, undefined, { signal }).catch(() => undefined);
}
