import type { Command } from 'commander';
import type { ShredPlanAnswer, ShredStatusAnswer } from '../../http/api/schemas.ts';
import { CliError, exitCodes } from '../cli-error.ts';
import { type CommandContext, type OutputOption, withOutput } from '../command-context.ts';
import { requireTyped } from '../typed-confirmation.ts';
import { showLosses, showShred } from './shred-tables.ts';

interface ShredOptions extends OutputOption {
  readonly dryRun?: boolean;
  readonly confirm?: string;
  readonly reason?: string;
  readonly withoutRevocation?: boolean;
  readonly leaveKey?: boolean;
}

/** How long the command waits for the broker where nothing moves, in milliseconds. */
const patienceMs = 120_000;
const lookEveryMs = 500;

/** `broker tenant shred|shred-approve|shred-cancel|shred-status` */
export function addShredCommands(tenant: Command, context: CommandContext): void {
  const { api, output, vault, secretSource, pause } = context;

  withOutput(tenant.command('shred'))
    .argument('<name>', 'the tenant')
    .description('destroy a tenant: revoke its grants at Google, destroy its key, prove it')
    .option('--dry-run', 'show what would be lost, and do nothing')
    .option('--reason <text>', 'why; kept in the audit record')
    .option('--confirm <name>', 'the tenant’s name, for scripts (default: asks you to type it)')
    .option('--without-revocation', 'go on without the grants that Google has not revoked')
    .option('--leave-key', 'do not destroy the key with your own Vault login; show how to')
    .action(async (name: string, options: ShredOptions) => {
      const plan = await api().get<ShredPlanAnswer>(`${pathOf(name)}/plan`);
      const found = await api().get<ShredStatusAnswer>(pathOf(name));
      const isEnded = plan.tenant.state === 'shredded';
      if (options.dryRun && options.output === 'json') return output.json(plan);
      if (isEnded) return show(found, options);
      showLosses(output, plan, options.output);
      if (options.dryRun) return output.hint('Nothing was changed.');
      await requireTyped(name, options.confirm, secretSource);
      show(await shred(name, options, found), options);
    });

  withOutput(tenant.command('shred-approve'))
    .argument('<name>', 'the tenant')
    .description('approve, as a second person, that a tenant is shredded')
    .option('--confirm <name>', 'the tenant’s name, for scripts (default: asks you to type it)')
    .action(async (name: string, options: ShredOptions) => {
      const plan = await api().get<ShredPlanAnswer>(`${pathOf(name)}/plan`);
      showLosses(output, plan, options.output);
      await requireTyped(name, options.confirm, secretSource);
      const status = await api().post<ShredStatusAnswer>(`${pathOf(name)}/approve`, { confirm: name });
      show(status, options);
      if (options.output !== 'json')
        output.hint(`Nothing is destroyed yet. Now it can be started: broker tenant shred ${name}`);
    });

  withOutput(tenant.command('shred-cancel'))
    .argument('<name>', 'the tenant')
    .description('withdraw a request to shred a tenant that was not started')
    .action(async (name: string, options: OutputOption) =>
      show(await api().post<ShredStatusAnswer>(`${pathOf(name)}/cancel`), options),
    );

  withOutput(tenant.command('shred-status'))
    .argument('<name>', 'the tenant')
    .description('show how far the shredding of a tenant is, and its proof')
    .action(async (name: string, options: OutputOption) =>
      show(await api().get<ShredStatusAnswer>(pathOf(name)), options),
    );

  function show(status: ShredStatusAnswer, options: OutputOption): void {
    if (options.output === 'json') output.json(status);
    else showShred(output, status);
  }

  async function shred(name: string, options: ShredOptions, found: ShredStatusAnswer): Promise<ShredStatusAnswer> {
    const withoutRevocation = options.withoutRevocation ?? false;
    let status = found;
    if (!['requested', 'approved', 'revoking', 'awaiting_key_destruction'].includes(status.shred?.state ?? '')) {
      if (!options.reason) {
        throw new CliError('There is no reason.', {
          exitCode: exitCodes.usage,
          hints: ['Say why, for the audit record: --reason "contract ended"'],
        });
      }
      const wanted = { confirm: name, reason: options.reason, without_revocation: withoutRevocation };
      status = await api().post<ShredStatusAnswer>(pathOf(name), wanted);
    }
    if (status.shred?.state === 'requested') {
      output.hint(`Nothing is destroyed yet. A second person approves it: broker tenant shred-approve ${name}`);
      return status;
    }
    const go = { confirm: name, without_revocation: withoutRevocation };
    status = await api().post<ShredStatusAnswer>(`${pathOf(name)}/start`, go);
    status = await waitWhile(name, status, isRevoking);
    if (status.shred?.state === 'revoking') throw notRevoked(name, status);
    if (status.key !== 'absent' && status.shred?.state === 'awaiting_key_destruction') {
      if (options.leaveKey) return showHow(name, status);
      output.say('Destroying the key with your Vault login …');
      await vault.destroyTenantKey(name);
    }
    return waitWhile(name, status, ({ shred: now }) => now?.state === 'awaiting_key_destruction');
  }

  async function showHow(name: string, status: ShredStatusAnswer): Promise<ShredStatusAnswer> {
    const key = await vault.tenantKeyPath(name);
    output.hint('Whoever may do so in Vault destroys the key; the broker notices and finishes:');
    output.say(`  vault write ${key}/config deletion_allowed=true`);
    output.say(`  vault delete ${key}`);
    return status;
  }

  /** Ends when it no longer holds, or where nothing has moved for a while. */
  async function waitWhile(
    name: string,
    first: ShredStatusAnswer,
    holds: (status: ShredStatusAnswer) => boolean,
  ): Promise<ShredStatusAnswer> {
    let status = first;
    let told = '';
    for (let waited = 0; holds(status) && waited < patienceMs; waited += lookEveryMs) {
      const line = progressOf(status);
      if (line !== told) [told, waited] = [line, 0];
      if (waited === 0) output.say(line);
      await pause(lookEveryMs);
      status = await api().get<ShredStatusAnswer>(pathOf(name));
    }
    return status;
  }
}

function pathOf(name: string): string {
  return `/v1/tenants/${encodeURIComponent(name)}/shred`;
}

/** Until Google has answered for all, or as often as is tried. */
function isRevoking({ shred }: ShredStatusAnswer): boolean {
  return (
    shred?.state === 'revoking' && ((shred.revocations?.pending ?? 0) > 0 || (shred.revocations?.failed ?? 0) === 0)
  );
}

function progressOf({ shred }: ShredStatusAnswer): string {
  if (shred?.state !== 'revoking')
    return 'Waiting for the broker to see that the key is gone, and to try every ciphertext …';
  const { pending = 0, ...done } = shred.revocations ?? {};
  const count = Object.values(done).reduce((sum, one) => sum + (one ?? 0), 0);
  return `Revoking at Google: ${count} of ${count + pending} done …`;
}

function notRevoked(name: string, { shred }: ShredStatusAnswer): CliError {
  const { failed = 0, pending = 0 } = shred?.revocations ?? {};
  return new CliError(`Google has not revoked ${failed + pending} of the grants; their tokens are released no more.`, {
    exitCode: exitCodes.unavailable,
    hints: [
      `Try again: broker tenant shred ${name}`,
      `Or go on without them: broker tenant shred ${name} --without-revocation`,
    ],
  });
}
