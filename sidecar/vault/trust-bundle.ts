/**
 * Whom to trust: every authority of the PKI mount, not only the one that signs today. After a change of authority there
 * are two, and certificates of both are in use. The paths are open to anybody, so this needs no login.
 */
import { IdentityError } from '../identity-error.ts';
import { certificateIn, pkiDataOf } from './pki-answer.ts';
import { errorsOf, type VaultRequest } from './request.ts';

/**
 * Makes the reader.
 *
 * @returns A function that resolves to the authorities as PEM, at least one.
 * @throws IdentityError from that function: PATH_MISSING, ANSWER_NOT_UNDERSTOOD, or what the request throws.
 */
export function createBundleReader(vault: VaultRequest, pkiMount: string): () => Promise<readonly string[]> {
  const read = async (path: string): Promise<string> => {
    const { status, text } = await vault({ method: 'GET', path });
    if (status < 400) return text;
    throw new IdentityError('PATH_MISSING', `vault answered ${status} at ${path}: ${errorsOf(text)}`);
  };
  return async () => {
    const { keys = [] } = pkiDataOf(await read(`${pkiMount}/issuers?list=true`));
    if (keys.length === 0) throw new IdentityError('PATH_MISSING', `there is no authority at ${pkiMount}/issuers`);
    return Promise.all(
      keys.map(async (id) => {
        const path = `${pkiMount}/issuer/${id}/json`;
        return certificateIn(await read(path), path);
      }),
    );
  };
}
