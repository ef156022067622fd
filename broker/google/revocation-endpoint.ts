/**
 * One POST to the revocation endpoint (RFC 7009 section 2.1): with a deadline, never redirected, never repeated here. Every
 * way it can end is an answer; nothing is thrown.
 */
import { classifyAnswer, noAnswer } from '../domain/token-endpoint-failure.ts';
import type { RevocationAnswer } from '../ports.ts';
import { parseObject, parseRetryAfter, readBounded } from './endpoint-answer.ts';

export async function requestRevocation(request: {
  readonly url: string;
  readonly form: Readonly<Record<string, string>>;
  readonly deadlineMs: number;
}): Promise<RevocationAnswer> {
  try {
    const response = await fetch(request.url, {
      method: 'POST',
      headers: { accept: 'application/json' },
      body: new URLSearchParams(request.form),
      redirect: 'manual',
      signal: AbortSignal.timeout(request.deadlineMs),
    });
    const body = parseObject(await readBounded(response));
    if (response.status === 200) return { result: 'revoked' };
    // RFC 7009 has 200 for a token that is not good; Google answers 400.
    if (response.status === 400 && body?.error === 'invalid_token') return { result: 'already_invalid' };
    const failure = classifyAnswer({
      status: response.status,
      contentType: response.headers.get('content-type') ?? '',
      body,
      retryAfter: parseRetryAfter(response.headers.get('retry-after')),
    });
    return { result: 'failed', failure };
  } catch {
    // The cause may hold the request; its kind (time-out, reset, TLS, DNS) changes nothing.
    return { result: 'failed', failure: noAnswer() };
  }
}
