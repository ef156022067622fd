#!/usr/bin/env node
/** The `sidecar` command. Reads the environment; everything else takes arguments. */
import { Command } from 'commander';
import { ConfigError, loadConfig } from './config.ts';
import { createLog, reasonOf } from './log.ts';
import { startSidecar } from './sidecar.ts';

const STOP_WITHIN_MS = 10_000;

const program = new Command('sidecar').description(
  'Serves YouTube access tokens to the upload workers on this machine.',
);

program
  .command('run')
  .description('get an identity from Vault and serve tokens until SIGTERM or SIGINT; a second signal ends at once')
  .action(async () => {
    const config = loadConfig(process.env);
    const log = createLog();
    const sidecar = await startSidecar(config, { log });
    const { url, operationsUrl, gceUrls } = sidecar;
    log.info({ url, operationsUrl, ...Object.fromEntries(gceUrls) }, 'the sidecar is listening');
    process.on('SIGUSR1', () => {
      log.info({ signal: 'SIGUSR1' }, 'a new certificate is made because somebody asks for it');
      // Why it fails is in the log already.
      void sidecar.rotate().catch(() => {});
    });
    const signal = await firstSignal();
    log.info({ signal }, 'the sidecar is stopping');
    setTimeout(() => process.exit(1), STOP_WITHIN_MS).unref();
    await sidecar.stop();
  });

try {
  await program.parseAsync();
} catch (error) {
  for (const sentence of error instanceof ConfigError ? error.problems : [reasonOf(error)])
    process.stderr.write(`sidecar: ${sentence}\n`);
  process.exitCode = error instanceof ConfigError ? 2 : 1;
}

function firstSignal(): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    let stopping = false;
    for (const signal of ['SIGTERM', 'SIGINT'] as const)
      process.on(signal, () => {
        if (stopping) process.exit(1);
        stopping = true;
        resolve(signal);
      });
  });
}
