import type { Command } from 'commander';
import { type CommandContext, type OutputOption, several, type VaultStep, withOutput } from '../command-context.ts';
import { writeCredential } from '../credential-files.ts';

/** `broker vault bootstrap|add-workload|issue-credential`; they talk to Vault with the operator's own login. */
export function addVaultCommands(program: Command, { output, vault: commands }: CommandContext): void {
  const vault = program
    .command('vault')
    .description('set Vault up, with your own Vault login (VAULT_ADDR, VAULT_TOKEN)');

  withOutput(vault.command('bootstrap'))
    .description('make mounts, roles and policies what they have to be; can be run again at any time')
    .option('--dry-run', 'show what would be done, and do nothing')
    .action(async ({ dryRun, output: format }: OutputOption & { dryRun?: boolean }) => {
      const progress = (step: VaultStep): void => output.say(`${step.action.padEnd(6)}  ${step.name}`);
      const steps = dryRun
        ? await commands.plan()
        : await commands.apply(format === 'json' ? () => undefined : progress);
      if (format === 'json') return output.json({ steps });
      if (dryRun) return showPlan(steps);
      const changed = steps.filter(({ action }) => action !== 'ok').length;
      output.say(
        changed === 0 ? 'Everything was as it should be.' : `${changed} of ${steps.length} steps were needed.`,
      );
    });

  vault
    .command('add-workload')
    .argument('<name>', 'the workload')
    .description('make the login of a workload’s sidecar, which decides its SPIFFE ID')
    .option('--cidr <network>', 'where it may log in from; several times (default: anywhere)', several)
    .action(async (name: string, { cidr = [] }: { cidr?: readonly string[] }) => {
      const { spiffeId } = await commands.addWorkload(name, cidr);
      output.facts([
        ['workload', name],
        ['SPIFFE ID', spiffeId],
      ]);
      output.hint(`Give its sidecar a credential: broker vault issue-credential ${name} --out FOLDER`);
    });

  vault
    .command('issue-credential')
    .argument('<role>', 'token-broker, or the name of a workload')
    .description('write a new AppRole credential into a folder, readable for you only')
    .requiredOption('--out <folder>', 'where role-id and secret-id are written')
    .action(async (role: string, { out }: { out: string }) => {
      const { roleIdFile, secretIdFile } = await writeCredential(out, await commands.issueCredential(role));
      output.facts([
        ['role id', roleIdFile],
        ['secret id', secretIdFile],
      ]);
    });

  function showPlan(steps: readonly VaultStep[]): void {
    const rows = steps.map(({ action, name, reason }) => [action, name, reason]);
    output.table(['action', 'what', 'why'], rows, 'Nothing is to be done.');
  }
}
