/**
 * A secret id that comes wrapped: the file holds a token that opens it once. Whoever was first has it, so a token that
 * is spent when we come tells of a restart, or of a thief. What was opened is kept in memory for the logins to come, and
 * for the time after a restart in a file, where one is named.
 */
import { createHash } from 'node:crypto';
import { readFile, rename, writeFile } from 'node:fs/promises';
import * as z from 'zod';
import { IdentityError } from '../../identity-error.ts';
import { type Log, reasonOf } from '../../log.ts';
import { readCredential } from '../credential-file.ts';
import { errorsOf, type VaultRequest } from '../request.ts';

export interface WrappedSecretId {
  /** Of the AppRole login; the wrapping must have been made there. */
  readonly mount: string;
  /** Holds the wrapping token. */
  readonly file: string;
  /** Keeps the opened secret id for a restart, readable for this user only; in memory alone where undefined. */
  readonly keptIn: string | undefined;
}

const lookupAnswer = z.object({ data: z.object({ creation_path: z.string() }) });
const secretIdAnswer = z.object({
  data: z.object({ secret_id: z.string().min(1), secret_id_num_uses: z.number().optional() }),
});
const keptContent = z.object({ wrapping_sha256: z.string(), secret_id: z.string().min(1) });
type Kept = z.output<typeof keptContent>;

/**
 * Makes the source of the secret id. A new wrapping token in the file is opened at the next login; where that fails while
 * an earlier secret id is there, the log says so and the earlier one is used.
 *
 * @throws IdentityError from the function: CREDENTIAL_UNREADABLE, WRAPPING_TOKEN_USED, WRAPPING_TOKEN_FOREIGN,
 * ANSWER_NOT_UNDERSTOOD, or what the request throws.
 */
export function createWrappedSecretId(
  vault: VaultRequest,
  { mount, file, keptIn }: WrappedSecretId,
  log: Log,
): () => Promise<string> {
  let kept: Kept | undefined;
  return async () => {
    kept ??= await readKept(keptIn);
    try {
      const token = await readCredential(file, 'wrapped secret id');
      const fingerprint = createHash('sha256').update(token).digest('hex');
      if (kept?.wrapping_sha256 === fingerprint) return kept.secret_id;
      const { secret_id, secret_id_num_uses: uses } = await open(vault, mount, token);
      kept = { wrapping_sha256: fingerprint, secret_id };
      // Before its first use: after that, a lost one could not be opened again.
      await keep(keptIn, kept, log);
      if (uses) log.warn({ uses }, 'the secret id is good for a few logins only; each new certificate takes one');
    } catch (error) {
      if (!kept) throw error;
      const code = error instanceof IdentityError ? error.code : undefined;
      log.warn({ code, reason: reasonOf(error) }, 'the secret id of before is used');
    }
    return kept.secret_id;
  };
}

async function open(vault: VaultRequest, mount: string, token: string) {
  const lookup = await vault({ method: 'POST', path: 'sys/wrapping/lookup', body: { token } });
  if (lookup.status >= 400)
    throw new IdentityError('WRAPPING_TOKEN_USED', `vault does not know the wrapping token: ${errorsOf(lookup.text)}`);
  const { creation_path: origin } = parsed(lookup.text, lookupAnswer);
  // Anybody can wrap anything: what was not wrapped by issuing a secret id was put there by somebody else.
  if (!(origin.startsWith(`auth/${mount}/role/`) && origin.endsWith('/secret-id')))
    throw new IdentityError('WRAPPING_TOKEN_FOREIGN', `the wrapping token was made at ${origin}`);
  const opened = await vault({ method: 'POST', path: 'sys/wrapping/unwrap', token, body: {} });
  if (opened.status >= 400)
    throw new IdentityError('WRAPPING_TOKEN_USED', `the wrapping token does not open: ${errorsOf(opened.text)}`);
  return parsed(opened.text, secretIdAnswer);
}

function parsed<T>(text: string, schema: z.ZodType<{ readonly data: T }>): T {
  try {
    return schema.parse(JSON.parse(text)).data;
  } catch {
    // Without the cause, which may quote the secret id.
    throw new IdentityError('ANSWER_NOT_UNDERSTOOD', 'vault did not answer as it does to a wrapping token');
  }
}

async function readKept(file: string | undefined): Promise<Kept | undefined> {
  if (file === undefined) return undefined;
  try {
    return keptContent.safeParse(JSON.parse(await readFile(file, 'utf8'))).data;
  } catch {
    return undefined;
  }
}

async function keep(file: string | undefined, kept: Kept, log: Log): Promise<void> {
  if (file === undefined) return;
  const whole = `${file}.new`;
  try {
    await writeFile(whole, JSON.stringify(kept), { mode: 0o600, flush: true });
    await rename(whole, file);
  } catch (error) {
    log.warn({ reason: reasonOf(error) }, 'the secret id could not be kept for a restart');
  }
}
