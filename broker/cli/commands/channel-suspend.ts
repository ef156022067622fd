import type { Command } from 'commander';
import type { ChannelAnswer } from '../../http/api/schemas.ts';
import { type CommandContext, type OutputOption, withOutput } from '../command-context.ts';
import { pathOf } from './channel-path.ts';

interface SuspendOptions extends OutputOption {
  readonly reason: string;
}

/** `broker channel suspend|resume` */
export function addChannelSuspendCommands(channel: Command, { api, output }: CommandContext): void {
  const acts = [
    ['suspend', 'stop an active channel: nothing is refreshed or served until it is resumed; nothing is lost'],
    ['resume', 'make a suspended channel active; its consent is proven at once'],
  ] as const;
  for (const [act, description] of acts) {
    withOutput(channel.command(act))
      .argument('<channel>', 'its id')
      .description(description)
      .requiredOption('--reason <text>', 'why; kept in the audit record')
      .action(async (id: string, { output: format, reason }: SuspendOptions) => {
        const answer = await api().post<ChannelAnswer>(`${pathOf(id)}/${act}`, { reason });
        if (format === 'json') return output.json(answer);
        output.facts([
          ['channel', `${answer.id}, ${answer.name} of ${answer.tenant}`],
          ['state', `${answer.state}, ${answer.reason}`],
        ]);
        if (act === 'suspend') output.hint(`Resume it with: broker channel resume ${id} --reason TEXT`);
      });
  }
}
