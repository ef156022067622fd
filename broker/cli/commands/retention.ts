import type { Command } from 'commander';
import { type CommandContext, type OutputOption, withOutput } from '../command-context.ts';

const words = {
  revoked: 'revoked channels: grant and identity',
  dead: 'channels with a dead grant: grant and identity',
  request: 'authorization requests that have expired',
  link: 'consents whose link has expired or was used',
  notification: 'notifications that were told long ago',
} as const;

/** `broker retention run`; acts on the database, as `broker serve` does by itself every hour. */
export function addRetentionCommands(program: Command, { output, processes }: CommandContext): void {
  const retention = program.command('retention').description('delete what is kept no longer');

  withOutput(retention.command('run'))
    .description('delete now what the broker deletes by itself within the hour')
    .option('--dry-run', 'show what would be deleted, and delete nothing')
    .action(async ({ dryRun, output: format }: OutputOption & { dryRun?: boolean }) => {
      if (dryRun) {
        const due = await processes.retention.plan();
        if (format === 'json') return output.json({ due });
        const rows = due.map(({ tenant, kind, count }) => [tenant || 'the installation', words[kind], String(count)]);
        return output.table(['tenant', 'what', 'how many'], rows, 'Nothing is to be deleted.');
      }
      const deleted = await processes.retention.run((soFar, total) => {
        if (format !== 'json') output.say(`${soFar} of ${total} deleted`);
      });
      if (format === 'json') return output.json({ deleted });
      output.say(deleted === 0 ? 'Nothing was to be deleted.' : 'Done. Each tenant’s audit record says what.');
    });
}
