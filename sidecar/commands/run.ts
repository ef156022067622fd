/** `sidecar run`: the sidecar as a process of its own. */
import { type Command, InvalidArgumentError } from 'commander';
import { loadConfig } from '../config.ts';
import { createLog } from '../log.ts';
import { gone, type Presence, parsePresence } from '../worker/presence.ts';
import type { CommandContext } from './command-context.ts';
import { exitCodes } from './command-error.ts';
import { prepareProcess, startHere, stopHere } from './start.ts';

export function addRunCommand(program: Command, context: CommandContext): void {
  program
    .command('run')
    .summary('get an identity from Vault and serve tokens')
    .description(
      'Gets an identity from Vault and serves tokens until SIGTERM or SIGINT; requests on their way are answered, a second signal ends it at once. SIGUSR1 rotates the certificate. Its log is JSON on stdout.',
    )
    .option(
      '--exit-with <worker>',
      'stop when this worker has gone: pid:NUMBER, or uid:NUMBER for any of a user',
      toPresence,
    )
    .action(async ({ exitWith }: { readonly exitWith?: Presence }) => {
      const log = createLog();
      prepareProcess(context, log, () => context.own.exit(exitCodes.failed));
      const config = loadConfig(context.environment);
      const ended = new AbortController();
      const end = Promise.withResolvers<string>();
      for (const signal of ['SIGTERM', 'SIGINT'] as const)
        context.own.on(signal, () => {
          if (ended.signal.aborted) context.own.exit(1);
          ended.abort();
          end.resolve(signal);
        });
      if (exitWith)
        gone(exitWith, ended.signal, { onSeen: () => log.info({}, 'the worker is there') }).then(
          () => end.resolve('the worker has gone'),
          () => undefined,
        );
      const sidecar = await startHere(context, config, log, () => end.resolve('an admin'));
      const reason = await end.promise;
      ended.abort();
      log.info({ reason }, 'the sidecar is stopping');
      await stopHere(context, sidecar, log, exitCodes.ok);
    });
}

function toPresence(text: string): Presence {
  const presence = parsePresence(text);
  if (!presence) throw new InvalidArgumentError('It is pid:NUMBER or uid:NUMBER.');
  return presence;
}
