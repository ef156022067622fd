/**
 * One request to Vault, one answer: the only place that knows node-vault.
 *
 * node-vault brings the URL scheme, the verbs and the reading of answers. Cured here, each with a test: the token is
 * given with each request and headers are made anew (its header object keeps the first token for ever), the transport
 * is ours (see there), its DEBUG output of request bodies is off, and what it would take from the environment
 * (VAULT_TOKEN, VAULT_NAMESPACE, VAULT_PREFIX, VAULT_SKIP_VERIFY) is not taken.
 */
import nodeVault from 'node-vault';
import { z } from 'zod';
import type { Secret } from '../domain/secret.ts';
import { createTransport, type TransportRequest } from './transport.ts';
import { VaultFailure, type VaultFailureKind } from './vault-failure.ts';

export interface VaultCall {
  readonly method: 'GET' | 'POST' | 'DELETE';
  /** Without `/v1` and without a leading slash. */
  readonly path: string;
  readonly body?: Readonly<Record<string, unknown>>;
  /** Undefined sends none: logins and public endpoints. */
  readonly token?: Secret<string> | undefined;
  /** Has Vault keep the answer for so many seconds and answer a token that opens it once. */
  readonly wrapSeconds?: number;
  /** Milliseconds for this one request. */
  readonly deadlineMs: number;
  readonly signal?: AbortSignal | undefined;
  /** Waits for all other calls in turn: they have one connection together. The deadline counts from the call. */
  readonly inTurn?: boolean | undefined;
}

export interface VaultClient {
  /** Answers Vault's whole answer (undefined for 204). Throws `VaultFailure`, or the reason of the caller's signal. */
  send(call: VaultCall): Promise<unknown>;
  close(): void;
}

const refusal = z.object({ response: z.object({ statusCode: z.number(), body: z.unknown() }) });
const errorList = z.object({ errors: z.array(z.string()) });
const batchErrors = z.object({
  data: z.object({ batch_results: z.array(z.object({ error: z.string().optional() })) }),
});
const sealStatus = z.object({ sealed: z.boolean() });

/** `address` as in VAULT_ADDR, for example `https://vault.example:8200`. */
export function createVaultClient(settings: {
  readonly address: string;
  readonly namespace?: string;
  readonly caCertPem?: string;
}): VaultClient {
  const transport = createTransport(settings);
  const vault = nodeVault({
    endpoint: settings.address,
    'request-promise': { defaults: () => (request: TransportRequest) => transport.send(request) },
    debug: () => undefined,
  });
  Object.assign(vault, { token: undefined, namespace: settings.namespace, pathPrefix: '' });

  async function send(call: VaultCall): Promise<unknown> {
    const deadline = AbortSignal.timeout(call.deadlineMs);
    try {
      return await vault.request({
        method: call.method,
        path: `/${call.path}`,
        headers: {
          'X-Vault-Request': 'true',
          ...(call.token ? { 'X-Vault-Token': call.token.reveal() } : {}),
          ...(call.wrapSeconds === undefined ? {} : { 'X-Vault-Wrap-TTL': `${call.wrapSeconds}s` }),
        },
        ...(call.body ? { json: call.body } : {}),
        signal: call.signal ? AbortSignal.any([deadline, call.signal]) : deadline,
        inTurn: call.inTurn,
      });
    } catch (error) {
      call.signal?.throwIfAborted();
      throw deadline.aborted
        ? new VaultFailure('timed_out', `no answer to ${call.method} ${call.path} in ${call.deadlineMs} ms`)
        : await explain(call, error);
    }
  }

  async function explain(call: VaultCall, error: unknown): Promise<VaultFailure> {
    const refused = refusal.safeParse(error);
    if (!refused.success) {
      return new VaultFailure('unreachable', `no answer to ${call.method} ${call.path}`, { cause: error });
    }
    const { statusCode: status, body } = refused.data.response;
    const kind = status === 503 && (await isSealed()) ? 'sealed' : kindOf(status);
    const problems = problemsIn(body).map((problem) => onOneLine(withoutValuesOf(call, problem)));
    return new VaultFailure(kind, `${status} to ${call.method} ${call.path}`, { status, problems });
  }

  /** A 503 of a load balancer looks like that of a sealed Vault; this field does not. */
  async function isSealed(): Promise<boolean> {
    try {
      const answer = await send({ method: 'GET', path: 'sys/health', deadlineMs: 2_000 });
      return sealStatus.safeParse(answer).data?.sealed ?? false;
    } catch {
      return false;
    }
  }

  return { send, close: transport.close };
}

/** Vault's list; where a whole batch was refused, each different reason once. */
function problemsIn(body: unknown): readonly string[] {
  const list = errorList.safeParse(body).data?.errors;
  if (list) return list;
  const results = batchErrors.safeParse(body).data?.data.batch_results ?? [];
  return [...new Set(results.flatMap(({ error }) => (error ? [error] : [])))].slice(0, 5);
}

function kindOf(status: number): VaultFailureKind {
  if (status === 400 || status === 405 || status === 415 || status === 422) return 'bad_request';
  if (status === 401 || status === 403) return 'forbidden';
  if (status === 404) return 'not_found';
  if (status === 429) return 'rate_limited';
  if (status === 472 || status === 473) return 'standby';
  if (status >= 300 && status < 400) return 'redirected';
  return status >= 500 || status === 412 ? 'server_error' : 'unexpected_answer';
}

/** A server, or something that stands before it, may send back what it was sent. */
function withoutValuesOf(call: VaultCall, problem: string): string {
  const sent = [...stringsIn(call.body ?? {}), ...(call.token ? [call.token.reveal()] : [])];
  return sent
    .filter((value) => value.length >= 6)
    .sort((a, b) => b.length - a.length)
    .reduce((text, value) => text.replaceAll(value, '[secret]'), problem)
    .slice(0, 500);
}

/** Vault lists its errors as `1 error occurred:` and a bullet on the next line. */
function onOneLine(problem: string): string {
  return problem
    .replace(/\s+/g, ' ')
    .replace(/^1 error occurred: \* /, '')
    .trim();
}

function stringsIn(value: unknown): string[] {
  if (typeof value === 'string') return [value];
  return typeof value === 'object' && value !== null ? Object.values(value).flatMap(stringsIn) : [];
}
