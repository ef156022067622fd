import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

const LOOK_AGAIN_MS = 200;

/**
 * Runs `work` while holding a lock file, so that two terminals do not install into one folder at once.
 * The second one waits for the first. A lock whose process is gone (a crash, a power cut) is taken over.
 *
 * @template T
 * @param {string} lockFile
 * @param {(pid: number) => void} onWait told once, when another process holds the lock
 * @param {() => Promise<T>} work
 * @returns {Promise<T>}
 */
export async function oneAtATime(lockFile, onWait, work) {
  await mkdir(dirname(lockFile), { recursive: true });
  let told = false;
  while (!(await take(lockFile))) {
    const holder = await holderOf(lockFile);
    if (holder === undefined) continue;
    if (!isAlive(holder)) {
      await bury(lockFile, holder);
      continue;
    }
    if (!told) onWait(holder);
    told = true;
    await delay(LOOK_AGAIN_MS);
  }
  try {
    return await work();
  } finally {
    await rm(lockFile, { force: true });
  }
}

/**
 * Removes the lock of a process that is gone. One at a time, and only while it is still that one's: the lock of
 * somebody who took over meanwhile must stay.
 *
 * @param {string} lockFile
 * @param {number} holder
 */
async function bury(lockFile, holder) {
  const guard = `${lockFile}.burial`;
  if (await take(guard)) {
    try {
      if ((await holderOf(lockFile)) === holder) await rm(lockFile, { force: true });
    } finally {
      await rm(guard, { force: true });
    }
    return;
  }
  // Whoever died in the few milliseconds of a burial leaves a guard behind.
  const digger = await holderOf(guard);
  if (digger !== undefined && !isAlive(digger)) await rm(guard, { force: true });
  await delay(LOOK_AGAIN_MS / 10);
}

/** @param {string} lockFile */
async function take(lockFile) {
  try {
    await writeFile(lockFile, `${process.pid}\n`, { flag: 'wx' });
    return true;
  } catch (error) {
    if (isCode(error, 'EEXIST')) return false;
    throw error;
  }
}

/** @param {string} lockFile */
async function holderOf(lockFile) {
  const text = await readFile(lockFile, 'utf8').catch(() => '');
  // Empty for the instant between the other process creating the file and writing into it.
  if (text === '') await delay(LOOK_AGAIN_MS);
  const pid = Number.parseInt(text, 10);
  return Number.isNaN(pid) ? undefined : pid;
}

/** @param {number} pid */
function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return isCode(error, 'EPERM');
  }
}

/**
 * @param {unknown} error
 * @param {string} code
 */
function isCode(error, code) {
  return error instanceof Error && 'code' in error && error.code === code;
}
