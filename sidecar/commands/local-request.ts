/** Asks a running sidecar, as a worker does: over loopback or a Unix socket, by no proxy, with a deadline. */
import { request as httpRequest } from 'node:http';
import * as z from 'zod';
import { CommandError, exitCodes } from './command-error.ts';

/** Where it listens: a URL, or the path of a socket. */
export type Place = { readonly url: string } | { readonly socket: string };

export interface LocalCall {
  readonly method?: 'GET' | 'POST';
  /** With its query. */
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
}

const DEADLINE_MS = 15_000;
const LARGEST_ANSWER = 4_194_304;

const refusal = z.object({
  error: z.object({ code: z.string(), message: z.string().optional(), next: z.string().optional() }),
});

/**
 * Asks and answers the JSON of a success.
 *
 * @throws CommandError with the sidecar's own code and next step, or one that says that no sidecar answers.
 */
export async function askSidecar<T>(place: Place, call: LocalCall, schema: z.ZodType<T>): Promise<T> {
  const { status, text } = await send(place, call).catch((cause: unknown) => {
    throw unreachable(place, cause);
  });
  const body = jsonOf(text);
  if (status < 300) {
    const answer = schema.safeParse(body);
    if (answer.success) return answer.data;
  }
  const told = refusal.safeParse(body).data?.error;
  if (!told)
    throw new CommandError(`whoever answers at ${nameOf(place)} is no sidecar`, {
      exitCode: exitCodes.failed,
      code: 'NO_SIDECAR',
    });
  throw new CommandError(told.message ?? 'the sidecar refuses that', {
    exitCode: status === 503 || status === 429 ? exitCodes.unavailable : exitCodes.failed,
    code: told.code,
    hints: told.next === undefined ? [] : [told.next],
  });
}

function send(
  place: Place,
  { method = 'GET', path, headers = {} }: LocalCall,
): Promise<{ readonly status: number; readonly text: string }> {
  // No agent: the shared one may be set to a proxy by the environment.
  const options = { method, headers, agent: false as const, signal: AbortSignal.timeout(DEADLINE_MS) };
  return new Promise((resolve, reject) => {
    const request =
      'url' in place
        ? httpRequest(new URL(path, place.url), options)
        : httpRequest({ ...options, socketPath: place.socket, path });
    request.on('error', reject);
    request.on('response', (response) => {
      const chunks: Buffer[] = [];
      let size = 0;
      response.on('error', reject);
      response.on('data', (chunk: Buffer) => {
        size += chunk.length;
        if (size > LARGEST_ANSWER) request.destroy(new Error('the answer is too large'));
        else chunks.push(chunk);
      });
      response.on('end', () => resolve({ status: response.statusCode ?? 0, text: Buffer.concat(chunks).toString() }));
    });
    request.end();
  });
}

function unreachable(place: Place, cause: unknown): CommandError {
  const { code } = cause as NodeJS.ErrnoException;
  const isForbidden = code === 'EACCES' || code === 'EPERM';
  return new CommandError(
    isForbidden ? `${nameOf(place)} may not be used by this user` : `no sidecar answers at ${nameOf(place)}`,
    {
      exitCode: isForbidden ? exitCodes.failed : exitCodes.unavailable,
      code: isForbidden ? 'SIDECAR_FORBIDDEN' : 'SIDECAR_UNREACHABLE',
      hints: [
        isForbidden
          ? 'Ask as the user that the sidecar runs as.'
          : 'Start it by `sidecar run`, or say where it is; `sidecar doctor` finds what keeps it from starting.',
      ],
    },
    cause,
  );
}

function nameOf(place: Place): string {
  return 'url' in place ? place.url : place.socket;
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
