import { access, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { runCommand } from './command.mjs';
import { failureFrom, InstallFailure } from './failure.mjs';

/**
 * Says whether `node_modules` holds what package-lock.json asks for. npm writes its own list of what it installed as
 * its very last act, so an interrupted installation never looks complete.
 *
 * @param {string} root the repository
 * @returns {Promise<boolean>}
 */
export async function nodePackagesAreThere(root) {
  const wanted = await packagesOf(join(root, 'package-lock.json'));
  const installed = await packagesOf(join(root, 'node_modules/.package-lock.json'));
  const complete = Object.entries(wanted).every(([path, { version, optional }]) => {
    if (path === '') return true;
    // An optional package is one for another operating system, or one npm may leave out.
    return path in installed ? installed[path]?.version === version : optional === true;
  });
  return complete && (await exists(join(root, 'node_modules/.bin/node')));
}

/**
 * Installs exactly what package-lock.json lists.
 *
 * @param {string} root the repository
 * @param {NodeJS.ProcessEnv} env
 * @throws {InstallFailure} when the registry does not answer or npm stops for another reason
 */
export async function installNodePackages(root, env) {
  const { ok, output } = await runCommand(
    'npm',
    // The runtime (Node 24) is a development dependency, also where NODE_ENV=production is set.
    ['ci', '--include=dev', '--loglevel=error', '--fetch-retry-mintimeout=1000', '--fetch-retry-maxtimeout=4000'],
    { cwd: root, env },
  );
  if (!ok) {
    throw failureFrom(
      'The npm packages',
      output,
      'Check that this machine reaches the registry that `npm config get registry` names, then run the command again.',
    );
  }
  if (!(await nodePackagesAreThere(root))) {
    throw new InstallFailure(
      'npm finished, but the packages are not complete: Node 24 comes as the npm package `node`, whose install script must run.',
      'Check that `npm config get ignore-scripts` says false, then run the command again.',
    );
  }
}

/**
 * @param {string} lockFile
 * @returns {Promise<Record<string, { version?: string, optional?: boolean }>>}
 */
async function packagesOf(lockFile) {
  try {
    return JSON.parse(await readFile(lockFile, 'utf8')).packages ?? {};
  } catch {
    return {};
  }
}

/** @param {string} path */
async function exists(path) {
  return access(path).then(
    () => true,
    () => false,
  );
}
