/** `sidecar admin`: what the owner of a running sidecar has it do, through its admin socket. */
import type { Command } from 'commander';
import * as z from 'zod';
import { type AdminStatus, adminStatus } from '../admin/status.ts';
import { loadLocalConfig } from '../config.ts';
import { type CommandContext, type OutputOption, withOutput } from './command-context.ts';
import { CommandError, exitCodes } from './command-error.ts';
import { askSidecar } from './local-request.ts';
import { type Output, showInstant } from './output.ts';

export function addAdminCommands(program: Command, { environment, output }: CommandContext): void {
  const admin = program
    .command('admin')
    .summary('look at a running sidecar, and have it act')
    .description('Acts on the running sidecar through SIDECAR_ADMIN_SOCKET, as the user that it runs as.')
    .helpCommand(false);
  const ask = <T>(method: 'GET' | 'POST', path: string, schema: z.ZodType<T>): Promise<T> => {
    const { adminSocket } = loadLocalConfig(environment);
    if (adminSocket !== undefined) return askSidecar({ socket: adminSocket }, { method, path }, schema);
    throw new CommandError('the sidecar has no admin socket', {
      exitCode: exitCodes.usage,
      code: 'NO_ADMIN_SOCKET',
      hints: ['Set SIDECAR_ADMIN_SOCKET, here and where the sidecar runs.'],
    });
  };

  withOutput(
    admin
      .command('status')
      .summary('tell what it holds, and what is in its way')
      .description('Tells what the sidecar holds, and what is in its way.'),
  ).action(async (options: OutputOption) => {
    const status = await ask('GET', '/v1/status', adminStatus);
    if (options.output === 'json') output.json(status);
    else showStatus(output, status);
  });
  withOutput(
    admin
      .command('rotate')
      .summary('have a new certificate made now')
      .description('Has a new certificate made with a new key, now. The old one serves until the broker accepts it.'),
  ).action(async (options: OutputOption) => {
    const status = await ask('POST', '/v1/rotate', adminStatus);
    if (options.output === 'json') output.json(status.certificate);
    else showStatus(output, { ...status, tokens: [] });
  });
  withOutput(
    admin
      .command('drop')
      .summary('forget tokens of channels, or all')
      .description('Drops the tokens of these channels, or of all; each is fetched anew when it is read.')
      .argument('[channel...]'),
  ).action(async (channels: readonly string[], options: OutputOption) => {
    const query = new URLSearchParams(channels.map((channel): [string, string] => ['channel', channel]));
    const answer = await ask('POST', `/v1/drop?${query}`, z.object({ dropped: z.number() }));
    if (options.output === 'json') output.json(answer);
    else output.facts([['dropped', String(answer.dropped)]]);
  });
  withOutput(
    admin
      .command('quit')
      .summary('have it end, after what is on its way')
      .description('Has the sidecar answer what is on its way, and end.'),
  ).action(async (options: OutputOption) => {
    const answer = await ask('POST', '/v1/quit', z.object({ stopping: z.boolean() }));
    if (options.output === 'json') output.json(answer);
    else output.say('The sidecar is stopping.');
  });
  for (const command of admin.commands) command.helpCommand(false);
}

function showStatus(output: Output, { ready, obstacles, degraded, certificate, tokens }: AdminStatus): void {
  output.facts([
    ['ready', ready ? 'yes' : 'no'],
    ...obstacles.map(({ code, next }) => ['in the way', `${code}: ${next}`] as const),
    ...degraded.map(({ code, next }) => ['degraded', `${code}: ${next}`] as const),
    ...(certificate
      ? ([
          ['identity', certificate.spiffe_id],
          ['serial', certificate.serial],
          ['certificate ends', showInstant(certificate.ends_at)],
        ] as const)
      : []),
    ...tokens.map(({ channel, ends_at, problem }) => [`token of ${channel}`, stateOf(ends_at, problem)] as const),
  ]);
}

function stateOf(endsAt: string | undefined, problem: string | undefined): string {
  const held = endsAt === undefined ? 'none' : `ends ${showInstant(endsAt)}`;
  return problem === undefined ? held : `${held}; ${problem}`;
}
