import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runCommand } from './command.mjs';
import { InstallFailure } from './failure.mjs';

/**
 * Finds a Python of at least 3.9.
 *
 * @param {NodeJS.ProcessEnv} env
 * @param {string} forWhat what needs it, for the sentence
 * @returns {Promise<string>} the command
 * @throws {InstallFailure} where there is none
 */
export async function findPython(env, forWhat) {
  for (const command of ['python3', 'python']) {
    const probe = await runCommand(command, ['-c', 'import sys; sys.exit(sys.version_info < (3, 9))'], { env });
    if (probe.ok) return command;
  }
  throw new InstallFailure(
    `Python 3.9 or later was not found on this machine; it is needed to bring ${forWhat}.`,
    'Install Python (Debian and Ubuntu: `apt install python3 python3-venv`), then run the command again.',
  );
}

/**
 * Lends a working pip to `use`: the one that Python has, else one in a passing virtual environment. Debian ships
 * Python without pip and, in another package, what makes one.
 *
 * @template T
 * @param {string} python
 * @param {NodeJS.ProcessEnv} env
 * @param {(pip: string) => Promise<T>} use called with a Python command for which `-m pip` works
 * @returns {Promise<T>}
 * @throws {InstallFailure} where neither is there
 */
export async function withPip(python, env, use) {
  if ((await runCommand(python, ['-m', 'pip', '--version'], { env })).ok) return use(python);
  const folder = await mkdtemp(join(tmpdir(), 'pip-'));
  try {
    const venv = await runCommand(python, ['-m', 'venv', folder], { env });
    if (!venv.ok) {
      throw new InstallFailure(
        'This Python has neither pip nor a working venv module.',
        'Install one of them (Debian and Ubuntu: `apt install python3-venv`), then run the command again.',
      );
    }
    return await use(join(folder, 'bin/python'));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
