/** The errors of Google's token and revocation endpoints, in Google's JSON form (RFC 6749 section 5.2). */
import { type Answer, json } from './http.ts';

interface OAuthErrorShape {
  readonly status: 400 | 401 | 403;
  readonly description: string;
  /** The `error` on the wire, where it differs from the name in the table. */
  readonly error?: string;
  readonly fields?: Readonly<Record<string, string>>;
}

/** Every error that the practice Google can answer with, by the name that tests use for it. */
export const oauthErrors = {
  invalid_request: { status: 400, description: 'Bad Request' },
  invalid_scope: { status: 400, description: 'Some requested scopes were invalid.' },
  unsupported_grant_type: { status: 400, description: 'Invalid grant_type' },
  redirect_uri_mismatch: { status: 400, description: 'Bad Request' },
  invalid_grant: { status: 400, description: 'Token has been expired or revoked.' },
  /** Session-control reauthentication, not a revocation (reference G8). */
  invalid_rapt: {
    status: 400,
    error: 'invalid_grant',
    description: 'reauth related error (invalid_rapt)',
    fields: { error_subtype: 'invalid_rapt', error_uri: 'https://support.google.com/a/answer/9368756' },
  },
  admin_policy_enforced: {
    status: 400,
    description: 'Access to your account data is restricted by policies within your organization.',
  },
  invalid_client: { status: 401, description: 'The OAuth client was not found.' },
  unauthorized_client: { status: 401, description: 'Unauthorized' },
  deleted_client: { status: 401, description: 'The OAuth client was deleted.' },
  disabled_client: { status: 401, description: 'The OAuth client was disabled.' },
  use_dpop_nonce: { status: 400, description: 'Authorization server requires nonce in DPoP proof.' },
  invalid_dpop_proof: { status: 400, description: 'Invalid DPoP proof.' },
  invalid_token: { status: 400, description: 'Token expired or revoked' },
} as const satisfies Record<string, OAuthErrorShape>;

/** The name of an error in {@link oauthErrors}. */
export type OAuthErrorName = keyof typeof oauthErrors;

/** Thrown by an endpoint to answer with an OAuth error. */
export class OAuthError extends Error {
  readonly answer: Answer;

  constructor(name: OAuthErrorName, description?: string, headers: Record<string, string> = {}) {
    super(`practice google refused: ${name}`);
    this.name = 'OAuthError';
    this.answer = oauthErrorAnswer(name, description, headers);
  }
}

/** The answer for the error `name`; `description` replaces the usual sentence. */
export function oauthErrorAnswer(
  name: OAuthErrorName,
  description?: string,
  headers: Record<string, string> = {},
): Answer {
  const shape: OAuthErrorShape = oauthErrors[name];
  const body = {
    error: shape.error ?? name,
    error_description: description ?? shape.description,
    ...shape.fields,
  };
  return json(shape.status, body, headers);
}
