/** The files that settings name: whether the sidecar can read them, and whether everybody can. */
import { constants } from 'node:fs';
import { access, stat } from 'node:fs/promises';
import type { Environment } from '../config.ts';
import { type Finding, trap, well } from './finding.ts';

/** Names of settings whose value is a file that must be there. */
const FILE = /^(?:SIDECAR_VAULT_\w+_FILE|VAULT_CACERT)$/;
/** Of these, the ones that hold nothing secret. */
const PUBLIC = /CERT/;
const READABLE_BY_OTHERS = 0o004;

export async function examineFiles(environment: Environment): Promise<readonly Finding[]> {
  const named = Object.entries(environment).filter(
    (entry): entry is [string, string] => FILE.test(entry[0]) && !!entry[1],
  );
  const found = (await Promise.all(named.map(([name, path]) => examine(name, path)))).flat();
  return found.length > 0 || named.length === 0
    ? found
    : [well('FILES', `${named.length} files that settings name can be read.`)];
}

async function examine(name: string, path: string): Promise<readonly Finding[]> {
  try {
    await access(path, constants.R_OK);
    const { mode } = await stat(path);
    if (PUBLIC.test(name) || (mode & READABLE_BY_OTHERS) === 0) return [];
    return [trap('FILE_OPEN_TO_OTHERS', `${name} is ${path}.`, { cure: `chmod o= ${path}` })];
  } catch (error) {
    return [trap('FILE_UNREADABLE', `${name} is ${path}: ${(error as NodeJS.ErrnoException).code}.`)];
  }
}
