/**
 * The small HTTP vocabulary of the practice Google: a request that is read completely, and an answer that is a value.
 * Because an answer is a value, a fault can throw it away, cut it in two or hold it back after the request took effect.
 */
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';

/** A request whose body has arrived completely. */
export interface PracticeRequest {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
  /** The body's form fields; empty when the body is not `application/x-www-form-urlencoded`. */
  readonly form: URLSearchParams;
}

/** What is sent back. `body` is text; nothing here streams. */
export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** Answers one request of one endpoint. */
export type Endpoint = (request: PracticeRequest) => Answer | Promise<Answer>;

const maxBodyBytes = 64 * 1024 * 1024;

/** Reads the whole request. Throws when the body is larger than 64 MiB or the peer goes away. */
export async function readRequest(incoming: IncomingMessage): Promise<PracticeRequest> {
  const url = new URL(incoming.url ?? '/', 'http://practice.invalid');
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of incoming) {
    const bytes = chunk as Buffer;
    size += bytes.length;
    if (size > maxBodyBytes) throw new Error('request body is too large for the practice server');
    chunks.push(bytes);
  }
  const body = Buffer.concat(chunks);
  const isForm = incoming.headers['content-type']?.startsWith('application/x-www-form-urlencoded') ?? false;
  return {
    method: incoming.method ?? 'GET',
    path: url.pathname,
    query: url.searchParams,
    headers: incoming.headers,
    body,
    form: new URLSearchParams(isForm ? body.toString('utf8') : ''),
  };
}

/** The token of an `Authorization: Bearer` header (RFC 6750 section 2.1), if there is one. */
export function bearerToken(request: PracticeRequest): string | undefined {
  return /^Bearer +(\S+)$/i.exec(request.headers.authorization ?? '')?.[1];
}

/** An answer of JSON that nobody may cache. */
export function json(status: number, value: unknown, headers: Record<string, string> = {}): Answer {
  return {
    status,
    headers: { 'content-type': 'application/json; charset=utf-8', 'cache-control': 'no-store', ...headers },
    body: JSON.stringify(value, undefined, 2),
  };
}

/** A `302` to `location`. */
export function redirect(location: string): Answer {
  return { status: 302, headers: { location, 'cache-control': 'no-store' }, body: '' };
}

/** Google's plain "not here". */
export function notFound(): Answer {
  return json(404, { error: { code: 404, message: 'Not found: the practice Google has no such page.' } });
}
