import { setTimeout as timer } from 'node:timers/promises';
import type { Command } from 'commander';
import { duration } from '../../config/values.ts';
import type { TenantKeyAnswer } from '../../http/api/schemas.ts';
import { CliError, exitCodes } from '../cli-error.ts';
import { type CommandContext, type OutputOption, withOutput } from '../command-context.ts';
import { type Output, showInstant } from '../output.ts';

const watchEveryMs = 1_000;

/** `broker tenant rotate-key|key-status|raise-min-version|key-schedule` */
export function addTenantKeyCommands(tenant: Command, { api, output }: CommandContext): void {
  const path = (name: string, rest = '') => `/v1/tenants/${encodeURIComponent(name)}/key${rest}`;
  const show = (key: TenantKeyAnswer, format: OutputOption['output']) => {
    if (format === 'json') return output.json(key);
    showKey(key, output);
  };

  withOutput(tenant.command('rotate-key'))
    .argument('<name>', 'the tenant')
    .description('make a new version of the tenant’s key; the broker rewraps what is stored (for operators)')
    .action(async (name: string, options: OutputOption) => {
      const key = await api().post<TenantKeyAnswer>(path(name, '/rotate'));
      show(key, options.output);
      if (options.output === 'table') output.hint(`Watch the rewrap: broker tenant key-status ${name} --watch`);
    });

  withOutput(tenant.command('key-status'))
    .argument('<name>', 'the tenant')
    .option('-w, --watch', 'show progress until every row that can be is rewrapped')
    .description('show the versions of the tenant’s key, and how many rows need each')
    .action(async (name: string, options: OutputOption & { watch?: boolean }) => {
      const client = api();
      let key = await client.get<TenantKeyAnswer>(path(name));
      for (let told = ''; options.watch && isUnderWay(key); ) {
        const progress = `${key.percent} % rewrapped, ${key.rows_to_rewrap} of ${key.rows} rows to go`;
        if (progress !== told) output.say(progress);
        told = progress;
        await timer(watchEveryMs);
        key = await client.get<TenantKeyAnswer>(path(name));
      }
      show(key, options.output);
    });

  withOutput(tenant.command('raise-min-version'))
    .argument('<name>', 'the tenant')
    .option('--to <version>', 'the oldest version that decrypts from then on (default: the newest)')
    .description('have older versions of the tenant’s key decrypt nothing any more (for operators)')
    .action(async (name: string, options: OutputOption & { to?: string }) => {
      if (options.to !== undefined && !/^[1-9]\d{0,8}$/.test(options.to)) {
        throw new CliError('--to must be a version such as 2.', { exitCode: exitCodes.usage });
      }
      const body = options.to === undefined ? {} : { to: Number(options.to) };
      show(await api().post<TenantKeyAnswer>(path(name, '/min-version'), body), options.output);
    });

  withOutput(tenant.command('key-schedule'))
    .argument('<name>', 'the tenant')
    .requiredOption('--every <duration>', 'how old the newest version may get, such as 90d; off for no schedule')
    .description('rotate, rewrap and raise the minimum on a schedule (for operators)')
    .action(async (name: string, options: OutputOption & { every: string }) => {
      const every = options.every === 'off' ? null : duration.safeParse(options.every).data;
      if (every === undefined) {
        throw new CliError('--every must be a duration such as 90d, or off.', { exitCode: exitCodes.usage });
      }
      const body = { rotate_every_seconds: every === null ? null : Math.ceil(every / 1_000) };
      show(await api().post<TenantKeyAnswer>(path(name, '/schedule'), body), options.output);
    });
}

/** Rows that Vault could not rewrap are not waited for. */
function isUnderWay(key: TenantKeyAnswer): boolean {
  return key.fault === null && key.rows_to_rewrap > key.rewrap_failed.length;
}

function showKey(key: TenantKeyAnswer, output: Output): void {
  const perReplica = key.rows_per_second === null ? 'no limit' : `at most ${key.rows_per_second} rows/s a replica`;
  output.facts([
    ['tenant', key.tenant],
    ['key', key.fault === null ? `newest version ${key.newest_version}, minimum ${key.min_version}` : key.fault],
    ['rewrapped', `${key.percent} % of ${key.rows} rows, ${key.rows_to_rewrap} to go`],
    [
      'rewrap',
      key.rewrapping ? `running, ${perReplica}` : key.rows_to_rewrap === 0 ? 'done' : `waiting, ${perReplica}`,
    ],
    ['cannot rewrap', key.rewrap_failed.join(', ') || undefined],
    ['safe to raise', key.safe_min_version === null ? 'no' : `to ${key.safe_min_version}`],
    ['schedule', key.rotate_every_seconds === null ? 'off' : `every ${showDuration(key.rotate_every_seconds)}`],
    ['next rotation', key.next_rotation_at === null ? undefined : showInstant(key.next_rotation_at)],
    ['next raise', key.next_raise_at === null ? undefined : showInstant(key.next_raise_at)],
  ]);
  output.text('\n');
  output.table(
    ['version', 'created', 'rows'],
    key.versions.map(({ version, created_at, rows }) => [
      String(version),
      created_at === null ? 'not in vault' : showInstant(created_at),
      String(rows),
    ]),
    'Vault has no version of it.',
  );
  if (key.fault !== null) output.hint('See docs/keys.md, "When a key is missing".');
}

function showDuration(seconds: number): string {
  if (seconds % 86_400 === 0) return `${seconds / 86_400}d`;
  return seconds % 3_600 === 0 ? `${seconds / 3_600}h` : `${seconds}s`;
}
