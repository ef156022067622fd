import type { Command } from 'commander';
import type { RevocationPlanAnswer, RevocationStatusAnswer, RevokeLinkAnswer } from '../../http/api/schemas.ts';
import { CliError, exitCodes } from '../cli-error.ts';
import { type CommandContext, type OutputOption, withOutput } from '../command-context.ts';
import { showInstant } from '../output.ts';
import { requireTyped } from '../typed-confirmation.ts';
import { pathOf } from './channel-path.ts';
import { countOf, showPlan, showRevocation } from './revocation-tables.ts';

interface RevokeOptions extends OutputOption {
  readonly dryRun?: boolean;
  readonly reason?: string;
  readonly acceptSiblings?: boolean;
  readonly confirm?: string;
  readonly plan?: string;
}

/** How long the command waits for Google's answer, in milliseconds; the broker goes on without it. */
const patienceMs = 10_000;
const lookEveryMs = 500;

/** `broker channel revoke|revoke-status|revoke-link` */
export function addChannelRevokeCommands(channel: Command, context: CommandContext): void {
  const { api, output, secretSource, pause } = context;

  withOutput(channel.command('revoke'))
    .argument('<channel>', 'its id')
    .description('end a channel for good: nothing is served any more, and Google takes the consent back')
    .option('--dry-run', 'show what would end, and do nothing')
    .option('--reason <text>', 'why; kept in the audit record')
    .option('--accept-siblings', 'agree, in a script, that the other channels shown end with it')
    .option('--confirm <name>', 'the channel’s name, for scripts (default: asks you to type it)')
    .option('--plan <digest>', 'agree to this plan only, as a dry run with -o json has shown it')
    .action(async (id: string, options: RevokeOptions) => {
      const plan = await api().get<RevocationPlanAnswer>(`${pathOf(id)}/revocation/plan`);
      if (options.dryRun && options.output === 'json') return output.json(plan);
      showPlan(output, plan, options.output);
      if (options.dryRun) return output.hint('Nothing was changed.');
      if (!options.reason) throw noReason();
      await requireAccepted(plan, options);
      const body = { plan: options.plan ?? plan.digest, reason: options.reason };
      const begun = await api().post<RevocationStatusAnswer>(`${pathOf(id)}/revocation`, body);
      show(await waitForGoogle(id, begun), options);
    });

  withOutput(channel.command('revoke-status'))
    .argument('<channel>', 'its id')
    .description('show what became of a channel’s revocation at Google')
    .action(async (id: string, options: OutputOption) =>
      show(await api().get<RevocationStatusAnswer>(`${pathOf(id)}/revocation`), options),
    );

  withOutput(channel.command('revoke-link'))
    .argument('<channel>', 'its id')
    .description('make a one-time link by which the channel’s owner disconnects it')
    .action(async (id: string, options: OutputOption) => {
      const link = await api().post<RevokeLinkAnswer>(`${pathOf(id)}/revoke-links`);
      if (options.output === 'json') return output.json(link);
      output.facts([
        ['link', link.url],
        ['link expires', showInstant(link.expires_at)],
      ]);
      output.hint('Send it to the channel’s owner. Whoever has it can disconnect the channel: treat it as a secret.');
    });

  function show(status: RevocationStatusAnswer, options: OutputOption): void {
    if (options.output === 'json') output.json(status);
    else showRevocation(output, status);
  }

  /** Whoever types the name has read what was shown above it; a script has to say so. */
  async function requireAccepted(plan: RevocationPlanAnswer, options: RevokeOptions): Promise<void> {
    const others = countOf(plan);
    if (others > 0 && options.confirm !== undefined && !options.acceptSiblings) {
      throw new CliError(`Other channels end with it: ${others}. Nothing was changed.`, {
        exitCode: exitCodes.usage,
        hints: ['Agree to that with --accept-siblings'],
      });
    }
    await requireTyped(plan.channel.name, options.confirm, secretSource);
  }

  async function waitForGoogle(id: string, begun: RevocationStatusAnswer): Promise<RevocationStatusAnswer> {
    let status = begun;
    for (let waited = 0; status.revocation?.outcome === null && waited < patienceMs; waited += lookEveryMs) {
      await pause(lookEveryMs);
      status = await api().get<RevocationStatusAnswer>(`${pathOf(id)}/revocation`);
    }
    return status;
  }
}

function noReason(): CliError {
  return new CliError('There is no reason.', {
    exitCode: exitCodes.usage,
    hints: ['Say why, for the audit record: --reason "contract ended"'],
  });
}
