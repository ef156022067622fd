/** Calls the admin API. */
import type { Secret } from '../domain/secret.ts';
import { errorTable } from '../errors.ts';
import { CliError, exitCodes } from './cli-error.ts';
import { callForLines, callJson } from './json-call.ts';

/** Answers what the API answers; throws a CliError with the API's code, sentence and next step. */
export interface ApiClient {
  get<T>(path: string, signal?: AbortSignal): Promise<T>;
  post<T>(path: string, body?: unknown): Promise<T>;
  /** Answers line by line what the API streams. */
  lines(path: string): AsyncGenerator<string>;
}

/** @param reason why all of this is done, for the audit record. */
export function createApiClient(
  brokerUrl: string,
  identityToken: () => Promise<Secret<string>>,
  reason?: string,
): ApiClient {
  const given = reason === undefined ? {} : { 'X-Audit-Reason': encodeURIComponent(reason) };

  async function call<T>(method: string, path: string, body?: unknown, signal?: AbortSignal): Promise<T> {
    const token = await identityToken();
    const answer = await callJson('the broker', `${brokerUrl}${path}`, {
      method,
      headers: {
        Authorization: `Bearer ${token.reveal()}`,
        ...given,
        ...(body !== undefined && { 'Content-Type': 'application/json' }),
      },
      ...(body !== undefined && { body: JSON.stringify(body) }),
      ...(signal && { signal }),
    });
    if (answer.status >= 200 && answer.status < 300 && answer.body !== undefined) return answer.body as T;
    throw refusal(answer.status, answer.body, brokerUrl);
  }

  return {
    get: (path, signal) => call('GET', path, undefined, signal),
    post: (path, body) => call('POST', path, body),
    async *lines(path) {
      const token = await identityToken();
      const headers = { Authorization: `Bearer ${token.reveal()}`, ...given };
      const answer = await callForLines('the broker', `${brokerUrl}${path}`, { headers });
      if (!answer.lines) throw refusal(answer.status, answer.body, brokerUrl);
      yield* answer.lines;
    },
  };
}

function refusal(status: number, body: unknown, brokerUrl: string): CliError {
  const error = body instanceof Object && 'error' in body ? body.error : undefined;
  if (!(error instanceof Object) || !('code' in error) || !('message' in error)) {
    return new CliError(`What answers at ${brokerUrl} is not a broker (HTTP ${status}).`, {
      exitCode: status >= 500 ? exitCodes.unavailable : exitCodes.failed,
      hints: ['Check BROKER_URL.'],
    });
  }
  const {
    next,
    problems,
    request_id: requestId,
  } = error as { next?: string; problems?: string[]; request_id?: string };
  const code = String(error.code);
  return new CliError(String(error.message), {
    exitCode: isUnavailable(code) ? exitCodes.unavailable : exitCodes.failed,
    code,
    problems: problems ?? [],
    hints: [
      ...(next ? [next] : []),
      ...(requestId && status >= 500 ? [`The operators find the cause by the request id ${requestId}.`] : []),
    ],
  });
}

function isUnavailable(code: string): boolean {
  return Object.entries(errorTable).some(([known, row]) => known === code && row.retry && row.http === 503);
}
