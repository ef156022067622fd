/**
 * Faults on request. A rule says where (endpoint, client, token, …), what, how often, and whether the request takes
 * effect first: `when: 'after'` is "Google issued the tokens, but the answer was lost".
 */
import type { ServerResponse } from 'node:http';
import { fits, type RequestFilter } from './counters.ts';
import type { Answer } from './http.ts';
import { json } from './http.ts';
import { type OAuthErrorName, oauthErrorAnswer } from './oauth-error.ts';
import type { RandomNames } from './random.ts';
import type { RequestFacts } from './request-facts.ts';

/** What goes wrong. */
export type Fault =
  /** Answers properly, but only after `ms` milliseconds of real time. */
  | { readonly kind: 'latency'; readonly ms: number }
  /** Never answers; the connection stays open until either side gives up. */
  | { readonly kind: 'hang' }
  /** Resets the TCP connection. */
  | { readonly kind: 'reset' }
  /** Sends the headers and half of the real answer's body, then closes. The request always takes effect. */
  | { readonly kind: 'cut-body' }
  /** Any status with a body that no client should parse for meaning; `retryAfter` in seconds or as an HTTP date. */
  | { readonly kind: 'status'; readonly status: number; readonly retryAfter?: number | string; readonly body?: string }
  /** The human "403 That's an error" page that Google sends to machines that refresh too often (reference G13). */
  | { readonly kind: 'html-403' }
  /** An error of the OAuth error table. */
  | { readonly kind: 'error'; readonly error: OAuthErrorName };

/** A rule. Everything left out fits every request. */
export interface FaultRule {
  readonly fault: Fault;
  /** Which requests it is for. `account` is the e-mail address of the identity the token belongs to. */
  readonly where?: RequestFilter & { readonly account?: string };
  /** How many requests it hits; `'always'` until it is cleared. Default: 1. */
  readonly times?: number | 'always';
  /** Share of the fitting requests that it hits, 0–1. Default: 1. */
  readonly rate?: number;
  /** `after`: the request takes effect, only its answer is lost. Default: `before`. */
  readonly when?: 'before' | 'after';
}

/** A rule in force. */
export interface FaultHandle {
  readonly id: string;
  /** How many requests it has hit so far. */
  hits(): number;
  clear(): void;
}

/** What a test may ask for. */
export interface Faults {
  add(rule: FaultRule): FaultHandle;
  /** Takes one rule back, or all of them, and lets requests that hang go (their connections are closed). */
  clear(id?: string): void;
}

/** How the server has to treat one request. */
export interface FaultPlan {
  /** Milliseconds to wait before the endpoint is called, and between its call and the answer. */
  readonly latency: { readonly before: number; readonly after: number };
  readonly fault: Exclude<Fault, { kind: 'latency' }> | undefined;
  /** Whether the endpoint is to be called before the fault happens. */
  readonly takesEffect: boolean;
}

/** The side that the server uses. */
export interface FaultBook extends Faults {
  /** Uses up one hit of every rule that fits. */
  plan(facts: RequestFacts): FaultPlan;
  /** Does to the connection what `fault` says. `answer` is the real answer where the request took effect. */
  misbehave(fault: NonNullable<FaultPlan['fault']>, response: ServerResponse, answer: Answer | undefined): Misbehaviour;
}

/** Either an answer to send in place of the real one, or the connection was dealt with already. */
export type Misbehaviour = { readonly answer: Answer } | 'connection was dealt with';

const htmlForbidden = `<!DOCTYPE html><html lang=en><meta charset=utf-8><title>Error 403 (Forbidden)!!1</title>
<p><b>403.</b> <ins>That’s an error.</ins><p>Your client does not have permission to get URL <code>/token</code> from this server. <ins>That’s all we know.</ins>`;

const noFault: FaultPlan = { latency: { before: 0, after: 0 }, fault: undefined, takesEffect: true };

/** Creates an empty book. */
export function createFaultBook({ names }: { names: RandomNames }): FaultBook {
  const rules = new Map<string, { readonly rule: FaultRule; hits: number }>();
  const hanging = new Set<ServerResponse>();

  function isDue({ rule, hits }: { rule: FaultRule; hits: number }, facts: RequestFacts): boolean {
    const { where: { account, ...filter } = {}, times = 1, rate = 1 } = rule;
    if (times !== 'always' && hits >= times) return false;
    if (account !== undefined && account !== facts.account) return false;
    return fits(facts, filter) && (rate >= 1 || names.fraction() < rate);
  }

  return {
    add(rule) {
      const id = names.identifier();
      const entry = { rule, hits: 0 };
      rules.set(id, entry);
      return { id, hits: () => entry.hits, clear: () => void rules.delete(id) };
    },
    clear(id) {
      if (id === undefined) rules.clear();
      else rules.delete(id);
      for (const response of hanging) response.socket?.destroy();
    },
    plan(facts) {
      if (rules.size === 0) return noFault;
      let plan = noFault;
      for (const entry of rules.values()) {
        const { fault, when = 'before' } = entry.rule;
        const alreadyFaulty = fault.kind !== 'latency' && plan.fault !== undefined;
        if (alreadyFaulty || !isDue(entry, facts)) continue;
        entry.hits += 1;
        if (fault.kind === 'latency')
          plan = { ...plan, latency: { ...plan.latency, [when]: plan.latency[when] + fault.ms } };
        else plan = { ...plan, fault, takesEffect: when === 'after' || fault.kind === 'cut-body' };
      }
      return plan;
    },
    misbehave(fault, response, answer) {
      switch (fault.kind) {
        case 'hang':
          hanging.add(response);
          response.once('close', () => hanging.delete(response));
          return 'connection was dealt with';
        case 'reset':
          response.socket?.resetAndDestroy();
          return 'connection was dealt with';
        case 'cut-body':
          cutBody(response, answer ?? json(200, {}));
          return 'connection was dealt with';
        case 'status':
          return { answer: statusAnswer(fault) };
        case 'html-403':
          return {
            answer: { status: 403, headers: { 'content-type': 'text/html; charset=UTF-8' }, body: htmlForbidden },
          };
        case 'error':
          return { answer: oauthErrorAnswer(fault.error) };
      }
    },
  };
}

function statusAnswer({ status, retryAfter, body }: Extract<Fault, { kind: 'status' }>): Answer {
  const headers: Record<string, string> = { 'content-type': 'text/plain; charset=utf-8' };
  if (retryAfter !== undefined) headers['retry-after'] = String(retryAfter);
  return { status, headers, body: body ?? `The practice Google was asked to answer ${status}.` };
}

function cutBody(response: ServerResponse, { status, headers, body }: Answer): void {
  const bytes = Buffer.from(body);
  response.writeHead(status, { ...headers, 'content-length': bytes.length });
  response.write(bytes.subarray(0, Math.floor(bytes.length / 2)), () => response.socket?.destroy());
}
