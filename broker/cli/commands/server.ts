import type { Command } from 'commander';
import { describeConfig } from '../../config.ts';
import type { CommandContext } from '../command-context.ts';

/** `broker serve|migrate|settings` */
export function addServerCommands(program: Command, { output, processes }: CommandContext): void {
  program
    .command('serve')
    .description('run the broker until it is stopped')
    .action(() => processes.serve());

  program
    .command('migrate')
    .description('bring the database to this version, as the owner of its tables')
    .action(async () => {
      const { migrations, grantedTo } = await processes.migrate();
      for (const name of migrations) output.say(`done  ${name}`);
      if (migrations.length === 0) output.say('The database is up to date.');
      if (grantedTo === undefined) return;
      output.say(`The role ${grantedTo} has the rights that a running broker needs, and no other.`);
    });

  program
    .command('settings')
    .description('list all settings')
    .option('--markdown', 'as docs/configuration.md')
    .action(({ markdown }: { markdown?: boolean }) => {
      const described = describeConfig();
      output.text(markdown ? described.markdown : described.text);
    });
}
