import { spawn } from 'node:child_process';

/**
 * @typedef {object} Outcome
 * @property {boolean} ok whether the command ran and exited with 0
 * @property {string} output everything it wrote, in order
 */

/**
 * Runs a command to its end and keeps what it wrote. A command that is not there is an outcome too, never a throw.
 *
 * @param {string} command
 * @param {readonly string[]} args
 * @param {{ cwd?: string, env?: NodeJS.ProcessEnv }} [options]
 * @returns {Promise<Outcome>}
 */
export function runCommand(command, args, options = {}) {
  return new Promise((resolve) => {
    const child = spawn(command, args, { ...options, stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    const keep = (/** @type {Buffer} */ chunk) => {
      output += chunk.toString();
    };
    child.stdout.on('data', keep);
    child.stderr.on('data', keep);
    child.on('error', (error) => resolve({ ok: false, output: error.message }));
    child.on('close', (code) => resolve({ ok: code === 0, output }));
  });
}

/**
 * Picks the line of an installer's output that says what went wrong: the first that carries a word such as "error",
 * else the last. Shortened to fit a terminal.
 *
 * @param {string} output
 * @returns {string}
 */
export function tellingLine(output) {
  const lines = output
    .split('\n')
    .map((line) => line.replace(/^(npm )?(error|ERR!):?\s*/i, '').trim())
    .filter((line) => line !== '' && !/^(code|errno|syscall)\b/i.test(line));
  const telling = lines.find((line) =>
    /ECONN|ENOTFOUND|EAI_AGAIN|ETIMEDOUT|EACCES|ENOSPC|refused|failed|no matching/i.test(line),
  );
  return (telling ?? lines.at(-1) ?? 'it said nothing').slice(0, 200);
}
