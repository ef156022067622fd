/** Files that are wholly there or not at all, also after a loss of power. */
import { mkdir, open, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';

const unfinished = '.part';

/** Makes the directory, for its owner only, and removes what a killed process has left unfinished; answers the files' names. */
export async function openDirectory(directory: string): Promise<readonly string[]> {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const names = await readdir(directory);
  const parts = names.filter((name) => name.endsWith(unfinished));
  await Promise.all(parts.map((name) => rm(join(directory, name), { force: true })));
  return names.filter((name) => !name.endsWith(unfinished)).sort();
}

/** Writes a new file for its owner only; when this answers, file and name are on disk. */
export async function writeDurably(directory: string, name: string, text: string): Promise<void> {
  const part = join(directory, `${name}${unfinished}`);
  const file = await open(part, 'wx', 0o600);
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(part, join(directory, name));
  await syncDirectory(directory);
}

async function syncDirectory(directory: string): Promise<void> {
  const folder = await open(directory, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}
