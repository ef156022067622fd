import { CliError, exitCodes } from './cli-error.ts';

export interface JsonAnswer {
  readonly status: number;
  /** Undefined where the answer is not JSON. */
  readonly body: unknown;
}

/** Who is called, for the sentence where nobody answers. */
export type Callee = 'the broker' | 'Vault';

const deadlineMs = 30_000;

/**
 * Sends one request and reads JSON. Follows no redirect: what the headers carry is for this address only. Throws a CliError where nobody answers.
 */
export async function callJson(whom: Callee, url: string, init: RequestInit): Promise<JsonAnswer> {
  try {
    const deadline = AbortSignal.timeout(deadlineMs);
    const signal = init.signal ? AbortSignal.any([init.signal, deadline]) : deadline;
    const response = await fetch(url, { ...init, redirect: 'error', signal });
    const text = await response.text();
    return { status: response.status, body: parse(text) };
  } catch (cause) {
    throw unanswered(whom, url, cause);
  }
}

/**
 * Sends one GET and reads lines, for as long as they come; where it is refused, the JSON of the refusal. Throws a CliError
 * where nobody answers, or where the lines end early.
 */
export async function callForLines(
  whom: Callee,
  url: string,
  init: RequestInit,
): Promise<JsonAnswer & { readonly lines?: AsyncGenerator<string> }> {
  const silent = new AbortController();
  const deadline = setTimeout(() => silent.abort(new DOMException('', 'TimeoutError')), deadlineMs);
  try {
    const response = await fetch(url, { ...init, redirect: 'error', signal: silent.signal });
    const streams = response.ok && response.headers.get('content-type')?.startsWith('application/x-ndjson');
    if (!streams || !response.body) return { status: response.status, body: parse(await response.text()) };
    return { status: response.status, body: undefined, lines: linesOf(response.body, whom) };
  } catch (cause) {
    throw unanswered(whom, url, cause);
  } finally {
    clearTimeout(deadline);
  }
}

async function* linesOf(body: ReadableStream<Uint8Array>, whom: Callee): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = '';
  try {
    for await (const chunk of body) {
      const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n');
      rest = lines.pop() ?? '';
      yield* lines;
    }
  } catch (cause) {
    throw new CliError(`The connection to ${whom} was cut before the end.`, {
      exitCode: exitCodes.unavailable,
      code: 'UNREACHABLE',
      hints: ['Try again; what has come is not whole.'],
      cause,
    });
  }
  if (rest !== '') yield rest;
}

function unanswered(whom: Callee, url: string, cause: unknown): CliError {
  const reason = reasonOf(cause);
  const sentence = `${whom[0]?.toUpperCase()}${whom.slice(1)} at ${new URL(url).origin} does not answer`;
  return new CliError(`${sentence}${reason ? ` (${reason})` : ''}.`, {
    exitCode: exitCodes.unavailable,
    code: 'UNREACHABLE',
    hints: hintsFor(whom, reason),
    cause,
  });
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** `fetch` hides the system's or TLS's code one or two causes deep. */
function reasonOf(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined;
  if (error.name === 'TimeoutError') return `no answer within ${deadlineMs / 1000} s`;
  if ('code' in error && typeof error.code === 'string') return error.code;
  return reasonOf(error.cause);
}

function hintsFor(whom: Callee, reason = ''): readonly string[] {
  if (/CERT|SELF_SIGNED|ISSUER/.test(reason)) {
    return ['Name the file of the certificate authority in NODE_EXTRA_CA_CERTS.'];
  }
  return [`Check ${whom === 'Vault' ? 'VAULT_ADDR' : 'BROKER_URL'}, and that ${whom} is running.`];
}
