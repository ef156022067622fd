/**
 * Reads the authorization response (RFC 6749 §4.1.2, RFC 9207): the query of the callback, parameter by parameter, in
 * the order in which they came. What is said once must be there once; unknown parameters are ignored.
 */
import { Secret } from './secret.ts';

export type AuthorizationResponse =
  | { readonly kind: 'code'; readonly state: Secret<string>; readonly code: Secret<string> }
  /** The owner, or Google, said no. `error` is a code from the authorization server. */
  | { readonly kind: 'error'; readonly state: Secret<string>; readonly error: string }
  /** Not an answer that can be acted on; the state tells which consent it was meant for. */
  | { readonly kind: 'wrong_issuer' | 'malformed_response'; readonly state: Secret<string> }
  /** Without exactly one state nobody can say what this is. */
  | { readonly kind: 'unrecognisable' };

const longestState = 128;
/** Google says 256 bytes; others write longer ones. */
const longestCode = 4096;

/**
 * @param issuer the authorization server that was asked. Google sends `iss` for some users and not for others, and does
 *   not announce it: absent is accepted, present must be exactly this, once.
 */
export function parseAuthorizationResponse(
  parameters: readonly (readonly [string, string])[],
  issuer: string,
): AuthorizationResponse {
  const all = (name: string): readonly string[] => parameters.filter(([key]) => key === name).map(([, value]) => value);
  const states = all('state');
  const [state] = states;
  if (states.length !== 1 || !state || state.length > longestState) return { kind: 'unrecognisable' };
  const secretState = new Secret(state);

  const issuers = all('iss');
  if (issuers.length > 1 || (issuers.length === 1 && issuers[0] !== issuer)) {
    return { kind: 'wrong_issuer', state: secretState };
  }
  const errors = all('error');
  const codes = all('code');
  const [error] = errors;
  const [code] = codes;
  if (errors.length === 1 && codes.length === 0 && error) {
    return { kind: 'error', state: secretState, error: error.slice(0, 64) };
  }
  if (codes.length === 1 && errors.length === 0 && code && code.length <= longestCode) {
    return { kind: 'code', state: secretState, code: new Secret(code) };
  }
  return { kind: 'malformed_response', state: secretState };
}
