import { spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const MEMORY = '/dev/shm';
/** A run keeps some hundred megabytes at a time: a PostgreSQL or two, and their databases. */
const ENOUGH_BYTES = 4 * 2 ** 30;

/** Where all temporary files of a run are. */
export interface TemporaryFiles {
  readonly folder: string;
  remove(): void;
}

/**
 * Makes a folder in memory, where this machine has one that is large enough and lets programs be run in it. On a disk, a
 * database takes PostgreSQL ten times as long to make. Undefined where there is none.
 */
export function temporaryFilesInMemory(): TemporaryFiles | undefined {
  let folder: string | undefined;
  const remove = () => {
    if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
  };
  try {
    const { bavail, bsize } = statfsSync(MEMORY);
    if (bavail * bsize < ENOUGH_BYTES) return undefined;
    folder = mkdtempSync(join(MEMORY, 'token-broker-run-'));
    // Reachable, not readable, by the account that PostgreSQL runs as.
    chmodSync(folder, 0o711);
    const program = join(folder, 'program');
    writeFileSync(program, '#!/bin/sh\n', { mode: 0o700 });
    if (spawnSync(program).status === 0) return { folder, remove };
  } catch {
    // No such file system, or none of ours to write to.
  }
  remove();
  return undefined;
}
