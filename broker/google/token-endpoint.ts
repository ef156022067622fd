/**
 * One POST to the token endpoint (RFC 6749 §3.2): form-encoded, with a deadline, never redirected, never repeated and
 * never through a proxy of the environment. Every way it can end is an outcome; nothing is thrown.
 */
import { parseScopes } from '../domain/scope.ts';
import { Secret } from '../domain/secret.ts';
import { classifyAnswer, noAnswer, type TokenEndpointFailure } from '../domain/token-endpoint-failure.ts';
import type { TokenOutcome } from '../ports.ts';
import { parseObject, parseRetryAfter, readBounded } from './endpoint-answer.ts';

/** Nobody's access token lives longer than a day, and a refresh token that ends in three hundred years does not end. */
const longestLifeSeconds = 86_400;
const noEndSeconds = 1e10;

export interface TokenRequest {
  readonly url: string;
  readonly form: Readonly<Record<string, string>>;
  /** A DPoP proof (RFC 9449 §4). */
  readonly proof: string | undefined;
  readonly dpopKeyVersion: number | undefined;
  readonly deadlineMs: number;
  readonly now: () => Date;
}

export interface TokenAnswer {
  readonly outcome: TokenOutcome;
  /** The `DPoP-Nonce` header, where there was one. */
  readonly nonce: string | undefined;
}

export async function requestToken(request: TokenRequest): Promise<TokenAnswer> {
  try {
    // Before the request: the token's life is counted from no later than its birth.
    const askedAt = request.now();
    const response = await fetch(request.url, {
      method: 'POST',
      headers: { accept: 'application/json', ...(request.proof ? { DPoP: request.proof } : {}) },
      body: new URLSearchParams(request.form),
      redirect: 'manual',
      signal: AbortSignal.timeout(request.deadlineMs),
    });
    const text = await readBounded(response);
    const body = parseObject(text);
    const tokens = response.status === 200 && body ? readTokens(body, askedAt, request.dpopKeyVersion) : undefined;
    const outcome: TokenOutcome = tokens ? { ok: true, tokens } : { ok: false, failure: failureOf(response, body) };
    return { outcome, nonce: response.headers.get('dpop-nonce') ?? undefined };
  } catch {
    // The cause may hold the request; its kind (time-out, reset, TLS, DNS) changes nothing.
    return { outcome: { ok: false, failure: noAnswer() }, nonce: undefined };
  }
}

function failureOf(response: Response, body: Readonly<Record<string, unknown>> | undefined): TokenEndpointFailure {
  return classifyAnswer({
    status: response.status,
    contentType: response.headers.get('content-type') ?? '',
    body,
    retryAfter: parseRetryAfter(response.headers.get('retry-after')),
  });
}

function readTokens(body: Readonly<Record<string, unknown>>, askedAt: Date, dpopKeyVersion: number | undefined) {
  const { access_token: accessToken, expires_in: expiresIn, token_type: type } = body;
  if (typeof accessToken !== 'string' || accessToken === '') return undefined;
  if (typeof type !== 'string' || type.toLowerCase() !== 'bearer') return undefined;
  const seconds = Number(expiresIn);
  if (!Number.isFinite(seconds) || seconds <= 0) return undefined;
  const refreshToken = nonEmpty(body.refresh_token);
  const refreshSeconds = Number(body.refresh_token_expires_in);
  const idToken = nonEmpty(body.id_token);
  return {
    accessToken: new Secret(accessToken),
    expiresAt: secondsAfter(askedAt, Math.min(seconds, longestLifeSeconds)),
    refreshToken: refreshToken === undefined ? undefined : new Secret(refreshToken),
    refreshTokenExpiresAt:
      refreshSeconds > 0 && refreshSeconds < noEndSeconds ? secondsAfter(askedAt, refreshSeconds) : undefined,
    scopes: typeof body.scope === 'string' ? parseScopes(body.scope) : undefined,
    idToken: idToken === undefined ? undefined : new Secret(idToken),
    dpopKeyVersion,
  };
}

function secondsAfter(instant: Date, seconds: number): Date {
  return new Date(instant.getTime() + seconds * 1000);
}

function nonEmpty(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined;
}
