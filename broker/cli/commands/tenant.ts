import type { Command } from 'commander';
import type { TenantAnswer } from '../../http/api/schemas.ts';
import { type CommandContext, type OutputOption, several, withOutput } from '../command-context.ts';
import { showInstant } from '../output.ts';
import { addShredCommands } from './shred.ts';
import { addTenantKeyCommands } from './tenant-key.ts';

/** `broker tenant create|list|shred…` */
export function addTenantCommands(program: Command, context: CommandContext): void {
  const { api, output } = context;
  const tenant = program.command('tenant').description('customers who own channels');

  withOutput(tenant.command('create'))
    .argument('<name>', 'lower-case letters, digits and hyphens')
    .description('create a tenant and its key in Vault (for operators)')
    .option('--admin <principal>', 'user:SUBJECT or group:NAME; may be given several times (default: you)', several)
    .action(async (name: string, options: OutputOption & { admin?: readonly string[] }) => {
      const created = await api().post<TenantAnswer>('/v1/tenants', { name, admins: options.admin ?? [] });
      if (options.output === 'json') return output.json(created);
      output.facts([
        ['tenant', created.name],
        ['admins', created.admins.join(' ')],
        ['created', showInstant(created.created_at)],
      ]);
      output.hint(`Add a channel: broker channel add NAME --tenant ${created.name} --oauth-client CLIENT`);
    });

  withOutput(tenant.command('list'))
    .description('list the tenants that you may see')
    .action(async (options: OutputOption) => {
      const answer = await api().get<{ tenants: readonly TenantAnswer[] }>('/v1/tenants');
      if (options.output === 'json') return output.json(answer);
      const rows = answer.tenants.map(({ name, admins, created_at }) => [
        name,
        admins.join(' '),
        showInstant(created_at),
      ]);
      output.table(['name', 'admins', 'created'], rows, 'There is no tenant that you may see.');
    });

  addTenantKeyCommands(tenant, context);
  addShredCommands(tenant, context);
}
