/** Errors in the JSON form of Google's APIs (not of its OAuth endpoints). */
import { type Answer, json } from './http.ts';

interface ApiErrorShape {
  readonly code: number;
  readonly message: string;
  readonly reason: string;
  readonly status?: string;
  readonly domain?: string;
}

const apiErrors = {
  authError: {
    code: 401,
    message: 'Request had invalid authentication credentials. Expected OAuth 2 access token.',
    reason: 'authError',
    status: 'UNAUTHENTICATED',
  },
  insufficientPermissions: {
    code: 403,
    message: 'Request had insufficient authentication scopes.',
    reason: 'insufficientPermissions',
    status: 'PERMISSION_DENIED',
  },
  youtubeSignupRequired: {
    code: 401,
    message: 'Unauthorized',
    reason: 'youtubeSignupRequired',
    domain: 'youtube.header',
  },
  quotaExceeded: {
    code: 403,
    message: 'The request cannot be completed because you have exceeded your quota.',
    reason: 'quotaExceeded',
    domain: 'youtube.quota',
  },
  invalidArgument: { code: 400, message: 'Request contains an invalid argument.', reason: 'badRequest' },
  notFound: { code: 404, message: 'Not Found', reason: 'notFound' },
  backendError: { code: 500, message: 'Internal error encountered.', reason: 'backendError', status: 'INTERNAL' },
} as const satisfies Record<string, ApiErrorShape>;

/** The name of an error of Google's APIs. */
export type ApiErrorName = keyof typeof apiErrors;

/** The answer for the API error `name`; `message` replaces the usual sentence. */
export function apiErrorAnswer(name: ApiErrorName, message?: string): Answer {
  const shape: ApiErrorShape = apiErrors[name];
  const text = message ?? shape.message;
  const challenge: Record<string, string> =
    shape.code === 401
      ? { 'www-authenticate': 'Bearer realm="https://accounts.google.com/", error="invalid_token"' }
      : {};
  return json(
    shape.code,
    {
      error: {
        code: shape.code,
        message: text,
        errors: [{ message: text, domain: shape.domain ?? 'global', reason: shape.reason }],
        ...(shape.status === undefined ? {} : { status: shape.status }),
      },
    },
    challenge,
  );
}

/** Thrown by an endpoint of a Google API to answer with an error. */
export class ApiError extends Error {
  readonly answer: Answer;

  constructor(name: ApiErrorName, message?: string) {
    super(`practice google api refused: ${name}`);
    this.name = 'ApiError';
    this.answer = apiErrorAnswer(name, message);
  }
}
