/**
 * The last words of a process that meets an error nobody foresaw: which kind, and where in the code. Never its message
 * or its fields, which may quote a token, and no diagnostic report.
 */
import type { Log } from '../log.ts';

const MOST_FRAMES = 10;
const house = new URL('../../', import.meta.url).href;

/** What may be told of an error: its class, its code where it has one that is a plain word, and where it was thrown. */
export function harmlessFactsOf(error: unknown): {
  readonly kind: string;
  readonly code?: string;
  readonly at: string;
} {
  if (!(error instanceof Error)) return { kind: typeof error, at: 'unknown' };
  const { code } = error as { readonly code?: unknown };
  return {
    kind: /^[A-Za-z]{1,40}$/.test(error.name) ? error.name : 'Error',
    ...(typeof code === 'string' && /^[A-Z][A-Z0-9_]{1,40}$/.test(code) ? { code } : {}),
    at: placesIn(error).slice(0, MOST_FRAMES).join(' ') || 'unknown',
  };
}

/** Places in our own files. A stack begins with the message, which may look like a frame. */
function placesIn({ stack = '', message }: Error): readonly string[] {
  const start = stack.indexOf(message);
  const frames = start < 0 ? stack : stack.slice(start + message.length);
  return [...frames.matchAll(/^ {4}at .*?(file:\/\/[\w./-]+:\d+:\d+)\)?$/gm)]
    .map(([, place = '']) => place)
    .filter((place) => place.startsWith(house))
    .map((place) => place.slice(house.length));
}

/**
 * Has every error that nobody caught end the process with its harmless facts in the log.
 *
 * @param end Ends the process, with a failure.
 */
export function onCrash(own: Pick<NodeJS.Process, 'on'>, log: Log, end: () => void): void {
  own.on('uncaughtException', (error) => {
    log.error(harmlessFactsOf(error), 'the sidecar ends on an error that nobody foresaw');
    end();
  });
}
