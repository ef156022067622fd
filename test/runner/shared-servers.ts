import { createWriteStream } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { startPostgres } from '../../stack/postgres.ts';
import { startVault } from '../../stack/vault.ts';

/** The servers that all test files of a run use together. */
export interface SharedServers {
  /** What test/support reads to find them. */
  readonly env: Record<string, string>;
  /** Their names for the person who watches: `OpenBao 2.7.2`. */
  readonly names: readonly string[];
  stop(): Promise<void>;
}

/** Starts one Vault and one PostgreSQL, as far as they are needed; their logs go into `folder`. */
export async function startSharedServers(
  needs: { readonly vault: boolean; readonly postgres: boolean },
  folder: string,
  env: NodeJS.ProcessEnv,
): Promise<SharedServers> {
  await mkdir(folder, { recursive: true });
  const [vault, postgres] = await allOrNone([
    needs.vault ? startVault({ directory: folder, env }) : undefined,
    needs.postgres ? startPostgresWithLog(join(folder, 'postgres.log')) : undefined,
  ]);
  return {
    env: {
      ...(vault && {
        TEST_VAULT_ADDRESS: vault.address,
        TEST_VAULT_ROOT_TOKEN: vault.rootToken,
        TEST_VAULT_PRODUCT: vault.product,
      }),
      ...(postgres && { TEST_DATABASE_ADMIN_URL: postgres.url('postgres') }),
    },
    names: [...(vault ? [vault.product] : []), ...(postgres ? ['PostgreSQL'] : [])],
    stop: async () => {
      await Promise.all([vault?.stop(), postgres?.stop()]);
    },
  };
}

async function startPostgresWithLog(file: string) {
  const log = createWriteStream(file, { flags: 'a' });
  const postgres = await startPostgres({ log: (line) => log.write(`${line}\n`) });
  return { ...postgres, stop: () => postgres.stop().finally(() => log.end()) };
}

/** Like `Promise.all`, but when one does not start, the others do not stay. */
async function allOrNone<A extends Stoppable, B extends Stoppable>(
  starts: [Promise<A> | undefined, Promise<B> | undefined],
): Promise<[A | undefined, B | undefined]> {
  const results = await Promise.allSettled(starts);
  const failure = results.find((result) => result.status === 'rejected');
  if (failure) {
    await Promise.all(results.map((result) => (result.status === 'fulfilled' ? result.value?.stop() : undefined)));
    throw failure.reason;
  }
  return Promise.all(starts);
}

interface Stoppable {
  stop(): Promise<void>;
}
