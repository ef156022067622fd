import type { Command } from 'commander';
import type { WorkloadAnswer } from '../../http/api/schemas.ts';
import { type CommandContext, type OutputOption, withOutput } from '../command-context.ts';
import { showInstant } from '../output.ts';
import { pathOf } from './channel-path.ts';

/** `broker workload allow` */
export function addWorkloadCommands(program: Command, { api, output }: CommandContext): void {
  const workload = program.command('workload').description('upload workers that read access tokens');

  withOutput(workload.command('allow'))
    .argument('<spiffe-id>', 'the worker’s identity, for example spiffe://token-broker.internal/workload/uploader')
    .description('let a workload read a channel’s access tokens')
    .requiredOption('--channel <id>', 'the channel')
    .requiredOption('--reason <text>', 'why; kept in the audit record')
    .action(async (spiffeId: string, options: OutputOption & { channel: string; reason: string }) => {
      const { channel, reason } = options;
      const access = await api().post<WorkloadAnswer>(`${pathOf(channel)}/workloads`, { spiffe_id: spiffeId, reason });
      if (options.output === 'json') return output.json(access);
      output.facts([
        ['workload', access.spiffe_id],
        ['channel', channel],
        ['reason', access.reason],
        ['allowed by', access.created_by],
        ['since', showInstant(access.created_at)],
      ]);
    });
}
