import { mkdirSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { toolsFolder } from '../find-server.mjs';

/**
 * Something on this machine or on its network keeps an installation from being complete.
 * The message is one plain sentence for the person who typed the command; `advice` says what to do about it.
 */
export class InstallFailure extends Error {
  /**
   * @param {string} message what could not be done, and why
   * @param {string} advice what to do about it
   */
  constructor(message, advice) {
    super(message);
    this.name = 'InstallFailure';
    this.advice = advice;
  }
}

/** What npm and pip say, in plain words. The order matters: a later one may be the consequence of an earlier one. */
const reasons = /** @type {const} */ ([
  [/ENOSPC|No space left/, 'the disk is full'],
  [/EINTEGRITY|DO NOT MATCH THE HASHES/, 'the registry sent something else than what is pinned here'],
  [/ECONNREFUSED|Connection refused/, 'the registry refuses the connection'],
  [
    /ENOTFOUND|EAI_AGAIN|Name or service not known|name resolution|nodename nor servname/,
    "the registry's name is not known here",
  ],
  [/ETIMEDOUT|ECONNRESET|timed out/, 'the registry does not answer'],
  [/CERTIFICATE|certificate/, 'the certificate of the registry is not trusted here'],
  [/\b(E?401|E?403)\b|Unauthorized|Forbidden/, 'the registry refuses access'],
  [/EACCES|EPERM|Permission denied/, 'this folder may not be written to'],
  [/No matching distribution/, 'there is no such package for this system'],
]);

/**
 * Turns an installer's output into a failure: the reason in plain words where it is a known one, else the last line.
 * All of the output is kept in a file, which the advice names.
 *
 * @param {string} title what was to be installed
 * @param {string} output
 * @param {string} advice
 */
export function failureFrom(title, output, advice) {
  const logFile = join(toolsFolder, 'log/install.log');
  mkdirSync(join(toolsFolder, 'log'), { recursive: true });
  writeFileSync(logFile, output);
  const known = reasons.find(([pattern]) => pattern.test(output));
  const reason = known?.[1] ?? output.trim().split('\n').at(-1) ?? 'no reason was given';
  return new InstallFailure(
    `${title} could not be installed: ${reason}.`,
    `${advice}\nAll that was said: ${relative(process.cwd(), logFile)}`,
  );
}
