/** Answers in one piece; the answer with a token is made once a second, not once a request. */
import type { ServerResponse } from 'node:http';
import type { ServedToken } from '../token-source.ts';

export type Headers = Readonly<Record<string, string>>;

/** Bytes ready to be sent with status 200. */
export interface Answer {
  /** Name, value, name, value…: Node takes this form without looking at it twice. */
  readonly headers: readonly string[];
  readonly body: Buffer;
}

/** Makes an answer of a text, never to be stored by anybody on the way. */
export function createAnswer(headers: Headers, text: string): Answer {
  const body = Buffer.from(text);
  const all = { ...headers, 'Cache-Control': 'no-store', 'Content-Length': String(body.length) };
  return { headers: Object.entries(all).flat(), body };
}

/** Sends an answer; to a HEAD request Node sends the headers only. */
export function sendAnswer(response: ServerResponse, status: number, { headers, body }: Answer): void {
  response.writeHead(status, headers as string[]);
  response.end(body);
}

/**
 * Makes the answer for a token, and keeps it as long as it says the truth: `expires_in` counts whole seconds.
 *
 * @param make Makes the answer for a token with so many seconds left, rounded down.
 */
export function createTokenAnswer(make: (served: ServedToken, expiresIn: number) => Answer) {
  const ready = new WeakMap<ServedToken, { readonly expiresIn: number; readonly answer: Answer }>();
  return (served: ServedToken, now: number): Answer => {
    const expiresIn = Math.floor((served.token.expiresAt - now) / 1_000);
    const known = ready.get(served);
    if (known?.expiresIn === expiresIn) return known.answer;
    const answer = make(served, expiresIn);
    ready.set(served, { expiresIn, answer });
    return answer;
  };
}

/**
 * Remembers what a text was read as. The sidecar hears the same few requests all the time; after a thousand different
 * ones somebody is playing, and it reads each anew.
 */
export function createMemo<T>(read: (text: string) => T): (text: string) => T {
  const known = new Map<string, T>();
  return (text) => {
    const found = known.get(text);
    if (found !== undefined) return found;
    const value = read(text);
    if (known.size < 1_000) known.set(text, value);
    return value;
  };
}
