import type { Command } from 'commander';
import type { WorkloadAnswer, WorkloadListAnswer } from '../../http/api/schemas.ts';
import { type CommandContext, type OutputOption, several, withOutput } from '../command-context.ts';
import { readEnd } from '../instants.ts';
import { type Fact, showInstant } from '../output.ts';
import { pathOf } from './channel-path.ts';
import { addWorkloadDenialCommands } from './workload-denial.ts';

interface AllowOptions extends OutputOption {
  readonly channel: string;
  readonly reason: string;
  readonly scope?: readonly string[];
  readonly expires?: string;
  readonly acceptWiderToken?: boolean;
}

interface ListOptions extends OutputOption {
  readonly tenant?: string;
  readonly channel?: string;
  readonly workload?: string;
}

/** `broker workload allow|list|remove`, and those that shut one out */
export function addWorkloadCommands(program: Command, context: CommandContext): void {
  const { api, output } = context;
  const workload = program.command('workload').description('upload workers that read access tokens');

  withOutput(workload.command('allow'))
    .argument(
      '<spiffe-id>',
      'the worker’s identity, for example spiffe://token-broker.internal/workload/uploader; with /* at its end, all below that path',
    )
    .description('let a workload read a channel’s access tokens; once more changes the rule')
    .requiredOption('--channel <id>', 'the channel')
    .option('--scope <scope>', 'what it may ask for; several times (default: all that the owner granted)', several)
    .option('--expires <instant>', 'when the rule ends: 2026-12-31T00:00Z, or 90d from now (default: never)')
    .option('--accept-wider-token', 'agree that the token opens more than --scope: Google gives no narrower one')
    .requiredOption('--reason <text>', 'why; kept in the audit record')
    .action(async (spiffeId: string, options: AllowOptions) => {
      const { channel, reason, scope, expires, acceptWiderToken } = options;
      const body = {
        spiffe_id: spiffeId,
        reason,
        scopes: scope,
        expires_at: expires === undefined ? undefined : readEnd('--expires', expires, new Date()),
        accept_wider_token: acceptWiderToken,
      };
      const access = await api().post<WorkloadAnswer>(`${pathOf(channel)}/workloads`, body);
      if (options.output === 'json') return output.json(access);
      output.facts(factsOf(access));
      if (access.scopes && access.accepts_wider_token)
        output.hint('It is refused when it asks for more. The token itself opens all that the owner granted.');
    });

  withOutput(workload.command('list'))
    .description('list who may read which of your channels')
    .option('--tenant <name>', 'only this tenant’s channels')
    .option('--channel <id>', 'only this channel')
    .option('--workload <spiffe-id>', 'only the rules that name this workload')
    .action(async ({ output: format, tenant, channel, workload: spiffeId }: ListOptions) => {
      const given = {
        ...(tenant && { tenant }),
        ...(channel && { channel }),
        ...(spiffeId && { spiffe_id: spiffeId }),
      };
      const query = new URLSearchParams(given).toString();
      const answer = await api().get<WorkloadListAnswer>(`/v1/workloads${query ? `?${query}` : ''}`);
      if (format === 'json') return output.json(answer);
      const rows = answer.workloads.map((one) => [
        one.spiffe_id,
        one.channel,
        one.scopes ? String(one.scopes.length) : 'all',
        one.expires_at ? showInstant(one.expires_at) : 'never',
        one.created_by,
        one.reason,
      ]);
      const headings = ['workload', 'channel', 'scopes', 'ends', 'allowed by', 'reason'];
      output.table(headings, rows, 'No workload may read a channel of yours.');
    });

  withOutput(workload.command('remove'))
    .argument('<spiffe-id>', 'as it was allowed')
    .description('take a rule back: the workload is refused at once, also on open connections')
    .requiredOption('--channel <id>', 'the channel')
    .requiredOption('--reason <text>', 'why; kept in the audit record')
    .action(async (spiffeId: string, { output: format, channel, reason }: OutputOption & Record<string, string>) => {
      const removed = await api().post<WorkloadAnswer>(`${pathOf(channel ?? '')}/workloads/remove`, {
        spiffe_id: spiffeId,
        reason,
      });
      if (format === 'json') return output.json(removed);
      output.facts(factsOf(removed));
      output.hint(
        'A token that the workload has read is good for the rest of its hour, unless the channel is revoked.',
      );
    });

  addWorkloadDenialCommands(workload, context);
}

function factsOf(access: WorkloadAnswer): readonly Fact[] {
  return [
    ['workload', access.spiffe_id],
    ['channel', access.channel],
    ...(access.scopes ? [['scopes', access.scopes.join(' ')] as const] : []),
    ...(access.expires_at ? [['ends', showInstant(access.expires_at)] as const] : []),
    ['reason', access.reason],
    ['allowed by', access.created_by],
    ['since', showInstant(access.created_at)],
  ];
}
