/**
 * Faults on request. A rule says where (endpoint, client, token, …), what, how often, and whether the request takes
 * effect first: `when: 'after'` is "Google issued the tokens, but the answer was lost".
 */
import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { fits, type RequestFilter } from './counters.ts';
import type { Answer } from './http.ts';
import { type OAuthErrorName, oauthErrorAnswer } from './oauth-error.ts';
import type { RandomNames } from './random.ts';
import type { RequestFacts } from './request-facts.ts';

/** What goes wrong. */
export type Fault =
  /** Answers properly, but only after `ms` milliseconds of real time. */
  | { readonly kind: 'latency'; readonly ms: number }
  /** Answers properly, but only when the rule is cleared: whatever a test does before, it does meanwhile. */
  | { readonly kind: 'held' }
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
  /** Takes the rule back: what it holds is answered, and the connections that it left hanging are closed. */
  clear(): void;
}

/** What a test may ask for. */
export interface Faults {
  add(rule: FaultRule): FaultHandle;
  /** Takes one rule back, or all of them, as `FaultHandle.clear` does. */
  clear(id?: string): void;
}

type Delay = Extract<Fault, { kind: 'latency' | 'held' }>;
type Wait = () => Promise<unknown>;

/** How the server has to treat one request. */
export interface FaultPlan {
  /** What is to be waited for before the endpoint is called, and between its call and the answer. */
  readonly waits: { readonly before: readonly Wait[]; readonly after: readonly Wait[] };
  readonly fault: Exclude<Fault, Delay> | undefined;
  /** Whether the endpoint is to be called before the fault happens. */
  readonly takesEffect: boolean;
  /** Aborted when the rule behind `fault` is cleared. */
  readonly cleared: AbortSignal | undefined;
}

/** The side that the server uses. */
export interface FaultBook extends Faults {
  /** Uses up one hit of every rule that fits. */
  plan(facts: RequestFacts): FaultPlan;
}

const htmlForbidden = `<!DOCTYPE html><html lang=en><meta charset=utf-8><title>Error 403 (Forbidden)!!1</title>
<p><b>403.</b> <ins>That’s an error.</ins><p>Your client does not have permission to get URL <code>/token</code> from this server. <ins>That’s all we know.</ins>`;

const noFault: FaultPlan = {
  waits: { before: [], after: [] },
  fault: undefined,
  takesEffect: true,
  cleared: undefined,
};

interface StandingRule {
  readonly rule: FaultRule;
  readonly cleared: AbortController;
  hits: number;
}

/** Creates an empty book. */
export function createFaultBook({ names }: { names: RandomNames }): FaultBook {
  const rules = new Map<string, StandingRule>();

  function isDue({ rule, hits }: StandingRule, facts: RequestFacts): boolean {
    const { where: { account, ...filter } = {}, times = 1, rate = 1 } = rule;
    if (times !== 'always' && hits >= times) return false;
    if (account !== undefined && account !== facts.account) return false;
    return fits(facts, filter) && (rate >= 1 || names.fraction() < rate);
  }

  function clear(id: string): void {
    rules.get(id)?.cleared.abort();
    rules.delete(id);
  }

  return {
    add(rule) {
      const id = names.identifier();
      const standing = { rule, cleared: new AbortController(), hits: 0 };
      rules.set(id, standing);
      return { id, hits: () => standing.hits, clear: () => clear(id) };
    },
    clear(id) {
      for (const name of id === undefined ? [...rules.keys()] : [id]) clear(name);
    },
    plan(facts) {
      let plan = noFault;
      for (const standing of rules.values()) {
        const { fault, when = 'before' } = standing.rule;
        if (!isDelay(fault) && plan.fault !== undefined) continue;
        if (!isDue(standing, facts)) continue;
        standing.hits += 1;
        if (isDelay(fault)) {
          const wait = waitOf(fault, standing.cleared.signal);
          plan = { ...plan, waits: { ...plan.waits, [when]: [...plan.waits[when], wait] } };
        } else {
          const takesEffect = when === 'after' || fault.kind === 'cut-body';
          plan = { ...plan, fault, takesEffect, cleared: standing.cleared.signal };
        }
      }
      return plan;
    },
  };
}

function isDelay(fault: Fault): fault is Delay {
  return fault.kind === 'latency' || fault.kind === 'held';
}

function waitOf(fault: Delay, cleared: AbortSignal): Wait {
  if (fault.kind === 'latency') return () => delay(fault.ms, undefined, { ref: false });
  return async () => {
    if (!cleared.aborted) await once(cleared, 'abort');
  };
}

/**
 * Does what `plan` says in place of a proper answer. `answer` is the real one where the request took effect.
 * Returns an answer to send instead, or nothing when the connection was dealt with.
 */
export function misbehave(
  { fault, cleared }: FaultPlan,
  response: ServerResponse,
  answer: Answer | undefined,
): Answer | undefined {
  switch (fault?.kind) {
    case undefined:
      return answer;
    case 'hang':
      if (cleared?.aborted) response.destroy();
      else cleared?.addEventListener('abort', () => response.destroy(), { once: true });
      return undefined;
    case 'reset':
      response.socket?.resetAndDestroy();
      return undefined;
    case 'cut-body':
      if (answer) cutBody(response, answer);
      return undefined;
    case 'status':
      return statusAnswer(fault);
    case 'html-403':
      return { status: 403, headers: { 'content-type': 'text/html; charset=UTF-8' }, body: htmlForbidden };
    case 'error':
      return oauthErrorAnswer(fault.error);
  }
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
