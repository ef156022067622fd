import type { Command } from 'commander';
import { lengthOf, type PrunableStretch } from '../../domain/audit-prune.ts';
import { type CommandContext, type OutputOption, withOutput } from '../command-context.ts';
import { type Output, showInstant } from '../output.ts';

/** `broker audit prune`; acts on the database, as the owner of its tables. */
export function addAuditPruneCommand(audit: Command, { output, processes }: CommandContext): void {
  withOutput(audit.command('prune'))
    .description('delete records that are kept no longer, as the owner of the tables (BROKER_MIGRATION_DATABASE_URL)')
    .option('--dry-run', 'show what would be deleted, and delete nothing')
    .action(async ({ dryRun, output: format }: OutputOption & { dryRun?: boolean }) => {
      const asJson = format === 'json';
      if (dryRun) {
        const { before, due } = await processes.prune.plan();
        if (asJson) return output.json({ before: before ?? null, due: due.map(toJson) });
        if (!before) return sayForEver(output);
        output.table(['record of', 'records', 'from', 'to', 'signed'], due.map(toRow), nothing(before));
        if (due.length > 0) output.hint(`Recorded up to ${shown(before)}. Delete them: broker audit prune`);
        return;
      }
      const { before, pruned } = await processes.prune.run((soFar, total) => {
        if (!asJson) output.say(`${soFar} of ${total} deleted`);
      });
      if (asJson) return output.json({ before: before ?? null, pruned: pruned.map(toJson) });
      if (!before) return sayForEver(output);
      output.say(pruned.length === 0 ? nothing(before) : 'Done. Each audit chain says what.');
    });
}

function sayForEver(output: Output): void {
  output.say('The audit record is kept for ever (BROKER_AUDIT_RETENTION is 0).');
}

function nothing(before: Date): string {
  return `Nothing is to be deleted: nothing that Vault signed is from before ${shown(before)}.`;
}

function toRow(stretch: PrunableStretch): readonly string[] {
  const { from, through } = stretch;
  return [
    ...[through.chain || 'the installation', String(lengthOf(stretch)), String(from), String(through.seq)],
    shown(through.at),
  ];
}

function toJson(stretch: PrunableStretch): object {
  const { from, through } = stretch;
  return {
    chain: through.chain || null,
    records: lengthOf(stretch),
    from,
    to: through.seq,
    hash: through.hash.toString('hex'),
    signed_at: through.at,
  };
}

function shown(instant: Date): string {
  return showInstant(instant.toISOString());
}
