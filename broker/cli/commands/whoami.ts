import type { Command } from 'commander';
import type { WhoamiAnswer } from '../../http/api/schemas.ts';
import { type CommandContext, type OutputOption, withOutput } from '../command-context.ts';

/** `broker whoami` */
export function addWhoamiCommand(program: Command, { api, output }: CommandContext): void {
  withOutput(program.command('whoami'))
    .description('show who you are to the broker')
    .action(async (options: OutputOption) => {
      const me = await api().get<WhoamiAnswer>('/v1/whoami');
      if (options.output === 'json') return output.json(me);
      output.facts([
        ['subject', me.subject],
        ['name', me.name ?? undefined],
        ['groups', me.groups.length > 0 ? me.groups.join(' ') : undefined],
        ['principals', me.principals.join(' ')],
      ]);
    });
}
