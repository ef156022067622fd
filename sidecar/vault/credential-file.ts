/** Reads a credential from its file, anew at each login, so that a new one needs no restart. */
import { readFile } from 'node:fs/promises';
import { IdentityError } from '../identity-error.ts';

/**
 * @param what What the file holds, for the log: never the content.
 * @throws IdentityError CREDENTIAL_UNREADABLE where it is missing, unreadable or empty.
 */
export async function readCredential(file: string, what: string): Promise<string> {
  let text: string;
  try {
    text = (await readFile(file, 'utf8')).trim();
  } catch (cause) {
    throw new IdentityError('CREDENTIAL_UNREADABLE', `the file of the ${what} cannot be read`, { cause });
  }
  if (text === '') throw new IdentityError('CREDENTIAL_UNREADABLE', `the file of the ${what} is empty`);
  return text;
}
