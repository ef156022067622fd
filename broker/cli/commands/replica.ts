import type { Command } from 'commander';
import type { ReplicaAnswer, ReplicaListAnswer } from '../../http/api/schemas.ts';
import { type CommandContext, type OutputOption, withOutput } from '../command-context.ts';
import { showInstant } from '../output.ts';

/** `broker replica list` */
export function addReplicaCommands(program: Command, { api, output }: CommandContext): void {
  const replica = program.command('replica').description('the brokers that run');

  withOutput(replica.command('list'))
    .description('list the brokers that were seen in the last day, and the regions that each was given (for operators)')
    .action(async (options: OutputOption) => {
      const answer = await api().get<ReplicaListAnswer>('/v1/replicas');
      if (options.output === 'json') return output.json(answer);
      const rows = answer.replicas.map((one) => [
        one.id,
        one.state,
        one.regions?.join(', ') ?? 'all',
        one.version,
        showInstant(one.started_at),
        lastSeen(one),
      ]);
      output.table(['replica', 'state', 'regions', 'version', 'started', 'last seen'], rows, 'No broker was seen.');
      const silent = answer.replicas.find(({ state }) => state === 'silent');
      if (silent) output.hint(`${silent.id} went without a word: others serve its regions until it is back.`);
    });
}

function lastSeen({ seen_at: at, silent_seconds: ago, state }: ReplicaAnswer): string {
  return state === 'alive' ? `${ago} s ago` : showInstant(at);
}
