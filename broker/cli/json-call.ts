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
    const reason = reasonOf(cause);
    throw new CliError(
      `${whom[0]?.toUpperCase()}${whom.slice(1)} at ${new URL(url).origin} does not answer${reason ? ` (${reason})` : ''}.`,
      {
        exitCode: exitCodes.unavailable,
        code: 'UNREACHABLE',
        hints: hintsFor(whom, reason),
        cause,
      },
    );
  }
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
