// Brings what is missing, into this folder only: npm packages into node_modules/, servers into .tools/.
// It runs before anything is installed, so: plain JavaScript, Node 20 built-ins. When all is there it touches
// neither the network nor Python.
//
//   node stack/install.mjs start|test
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { toolsFolder } from './find-server.mjs';
import { InstallFailure } from './install/failure.mjs';
import { installNodePackages, nodePackagesAreThere } from './install/node-packages.mjs';
import { oneAtATime } from './install/one-at-a-time.mjs';
import { installTool } from './install/python-packages.mjs';
import { isInstalled, toolsFor } from './install/tools.mjs';

/**
 * @typedef {object} Step
 * @property {string} title
 * @property {boolean} optional
 * @property {() => Promise<void>} install
 */

const root = fileURLToPath(new URL('..', import.meta.url));

try {
  requireNode20();
  await installWhatIsMissing(process.argv[2] === 'test' ? 'test' : 'start', process.env);
} catch (error) {
  if (!(error instanceof InstallFailure)) throw error;
  say(`\n${error.message}\n${error.advice}\n`);
  process.exitCode = 1;
}

function requireNode20() {
  if (Number.parseInt(process.versions.node, 10) >= 20) return;
  throw new InstallFailure(
    `Node.js 20 or later is needed; this is ${process.versions.node}.`,
    'Install a current Node.js, then run the command again.',
  );
}

/**
 * @param {'start' | 'test'} command
 * @param {NodeJS.ProcessEnv} env
 */
async function installWhatIsMissing(command, env) {
  if ((await missingSteps(command, env)).length === 0) return;
  const onWait = (/** @type {number} */ pid) =>
    say(`Waiting for another installation into this folder (process ${pid}).\n`);
  await oneAtATime(join(toolsFolder, 'install.lock'), onWait, async () => {
    const steps = await missingSteps(command, env);
    if (steps.length > 0) say('Installing what is missing, into this folder only. Next time this is not needed.\n');
    for (const step of steps) await take(step);
  });
}

/**
 * @param {'start' | 'test'} command
 * @param {NodeJS.ProcessEnv} env
 * @returns {Promise<Step[]>}
 */
async function missingSteps(command, env) {
  /** @type {Step[]} */
  const steps = [];
  if (!(await nodePackagesAreThere(root))) {
    steps.push({ title: 'npm packages', optional: false, install: () => installNodePackages(root, env) });
  }
  for (const tool of toolsFor(command, env)) {
    if (await isInstalled(tool)) continue;
    steps.push({ title: tool.title, optional: tool.optional, install: () => installTool(tool, env) });
  }
  return steps;
}

/** @param {Step} step */
async function take(step) {
  const begun = Date.now();
  say(`  ${step.title} … `);
  try {
    await step.install();
    say(`${Math.max(1, Math.round((Date.now() - begun) / 1000))} s\n`);
  } catch (error) {
    if (!(step.optional && error instanceof InstallFailure)) throw error;
    say(`not installed\n    ${error.message}\n`);
  }
}

/** @param {string} text */
function say(text) {
  process.stderr.write(text);
}
