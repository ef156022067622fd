/**
 * One login, whatever its method: the request, the token, and which thing is wrong where there is none. The token is
 * for one use; `end` is called right after it, and nobody keeps it.
 */
import * as z from 'zod';
import { IdentityError } from '../identity-error.ts';
import { type ClientCertificate, errorsOf, type VaultAnswer, type VaultRequest } from './request.ts';

/** A Vault token in use. */
export interface VaultSession {
  readonly token: string;
  /** Ends the token where it is ours and can be ended; never throws, because the token ends by itself in minutes. */
  end(): Promise<void>;
}

/** @throws IdentityError */
export type VaultLogin = () => Promise<VaultSession>;

export interface LoginRequest {
  /** Where the method is mounted, without `auth/`. */
  readonly mount: string;
  readonly body: Readonly<Record<string, unknown>>;
  readonly clientCertificate?: ClientCertificate;
  /** Tells whether a refusal with 400 means that there is no such role. */
  readonly lacksRole?: (answer: VaultAnswer) => boolean;
  /** What is known of the credential, for the log: never the credential. */
  readonly about?: string;
}

const loginAnswer = z.object({
  auth: z.object({ client_token: z.string().min(1), token_type: z.string().optional() }),
});

/**
 * @throws IdentityError LOGIN_PATH_MISSING, LOGIN_ROLE_MISSING, NAMESPACE_MISSING, LOGIN_FORBIDDEN, CREDENTIAL_REJECTED,
 * ANSWER_NOT_UNDERSTOOD, or what the request throws.
 */
export async function logIn(vault: VaultRequest, request: LoginRequest): Promise<VaultSession> {
  const { mount, body, clientCertificate } = request;
  const path = `auth/${mount}/login`;
  const answer = await vault({ method: 'POST', path, body, ...(clientCertificate && { clientCertificate }) });
  if (answer.status >= 400) throw await refusalOf(vault, path, request, answer);
  const { client_token: token, token_type: type } = authIn(answer.text);
  return {
    token,
    async end() {
      // Vault keeps nothing of a batch token and refuses to end it; it is worth nothing after some minutes.
      if (type === 'batch') return;
      await vault({ method: 'POST', path: 'auth/token/revoke-self', token, body: {} }).catch(() => {});
    },
  };
}

async function refusalOf(vault: VaultRequest, path: string, { lacksRole, about }: LoginRequest, answer: VaultAnswer) {
  const reason = [errorsOf(answer.text), about].filter(Boolean).join('; ');
  // Vault answers 404 where there is no such namespace, and 403 where nothing is mounted.
  if (answer.status === 404) return new IdentityError('NAMESPACE_MISSING', `vault has nothing at ${path}: ${reason}`);
  if (answer.status === 403) {
    // A login is open to anybody: whoever may not even look stands before no login at all.
    const { status } = await vault({ method: 'GET', path, bearFailure: true });
    if (status === 403) return new IdentityError('LOGIN_PATH_MISSING', `nothing is mounted at ${path}: ${reason}`);
    return new IdentityError('LOGIN_FORBIDDEN', `vault refused ${path}: ${reason}`);
  }
  if (lacksRole?.(answer)) return new IdentityError('LOGIN_ROLE_MISSING', `vault has no such role: ${reason}`);
  return new IdentityError('CREDENTIAL_REJECTED', `vault refused the login at ${path}: ${reason}`);
}

function authIn(text: string) {
  try {
    return loginAnswer.parse(JSON.parse(text)).auth;
  } catch {
    // Without the cause: the parser's message may quote the answer, and the answer holds a token.
    throw new IdentityError('ANSWER_NOT_UNDERSTOOD', 'vault answered the login without a token');
  }
}
