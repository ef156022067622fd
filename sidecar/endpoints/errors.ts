/** Errors on the local interfaces: a stable code, a sentence for people, the next step. */
import { SidecarError, sidecarError } from '../errors.ts';
import { type Log, reasonOf } from '../log.ts';

/** Seconds, where nobody knows better: what passes here passes soon. */
const RETRY_AFTER = 2;

/** `{"error":{"code","message","next"}}`; `next` is left out where the message ends with it. */
export function errorAsJson({ code, sentence, next }: SidecarError): string {
  return `${JSON.stringify({ error: { code, message: sentence, next } })}\n`;
}

/**
 * One line, for clients that show the body to people. Apostrophes are ASCII: Google's Python library shows the bytes,
 * and would make `\xe2\x80\x99` of the others.
 */
export function errorAsText({ code, sentence, next }: SidecarError): string {
  return `${code}: ${sentence}${next === undefined ? '' : ` ${next}`}\n`.replaceAll('’', "'");
}

/** Headers that belong to the error itself. `allow` says which methods the path takes. */
export function errorHeaders(
  { http, retryAfter }: SidecarError,
  allow = 'GET, HEAD',
): Readonly<Record<string, string>> {
  if (http === 503 || http === 429) return { 'Retry-After': String(retryAfter ?? RETRY_AFTER) };
  if (http === 401) return { 'WWW-Authenticate': 'Basic realm="sidecar"' };
  return http === 405 ? { Allow: allow } : {};
}

/** Takes whatever was thrown for an error to answer with; what nobody expected is logged. */
export function asSidecarError(error: unknown, log: Log): SidecarError {
  if (error instanceof SidecarError) return error;
  log.error({ reason: reasonOf(error) }, 'unexpected error');
  return sidecarError('INTERNAL', { cause: error });
}
