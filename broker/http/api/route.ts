/** A route of the admin API: what it takes, what it answers, what it runs. Routing and OpenAPI are both made of these. */
import type * as z from 'zod';
import type { Person } from '../../domain/caller.ts';
import { BrokerError } from '../../errors.ts';
import type { AdminFlows } from '../flows.ts';
import { invalidRequest } from '../thrown.ts';

/** What the routes need of the broker. */
export interface ApiDeps {
  readonly flows: AdminFlows;
  readonly publicUrl: string;
}

/** A call as it came, by a known person. */
export interface RawCall {
  readonly caller: Person;
  /** The parsed JSON; undefined where there was none. */
  readonly body: unknown;
  readonly query: unknown;
  /** From the path; empty where the path names no channel. */
  readonly channel: string;
  /** From the path; empty where the path names no tenant. */
  readonly tenant: string;
  /** Fires when nobody waits for the answer any more. */
  readonly signal: AbortSignal;
  /** From the path; empty where the path names no OAuth client. */
  readonly oauthClient: string;
  /** From the path; empty where the path names no notification. */
  readonly notification: string;
}

interface RouteDocument {
  readonly method: 'get' | 'post';
  /** As OpenAPI writes it: `/v1/channels/{channel}`. */
  readonly path: string;
  readonly operationId: string;
  readonly summary: string;
  readonly status: 200 | 201;
  /** The answer is a line of this, again and again, as NDJSON; `run` answers the lines' texts. */
  readonly lines?: true;
}

interface RouteSchemas<Body extends z.ZodType, Query extends z.ZodType, Answer extends z.ZodType> {
  readonly body?: Body;
  readonly query?: Query;
  readonly answer: Answer;
}

export interface Route extends RouteDocument, RouteSchemas<z.ZodType, z.ZodType, z.ZodType> {
  /** Checks the call, runs the flow, answers what the schema names. Throws INVALID_REQUEST and what the flow throws. */
  readonly run: (call: RawCall, deps: ApiDeps) => Promise<unknown>;
}

interface CheckedCall<Body, Query> {
  readonly caller: Person;
  readonly body: Body;
  readonly query: Query;
  readonly channel: string;
  readonly tenant: string;
  readonly signal: AbortSignal;
  /** From the path; empty where the path names no OAuth client. */
  readonly oauthClient: string;
  /** From the path; empty where the path names no notification. */
  readonly notification: string;
}

/** Makes a route whose flow call is typed by its schemas. */
export function route<
  Answer extends z.ZodType,
  Body extends z.ZodType = z.ZodUndefined,
  Query extends z.ZodType = z.ZodUnknown,
>(
  document: RouteDocument,
  schemas: RouteSchemas<Body, Query, Answer>,
  run: (call: CheckedCall<z.output<Body>, z.output<Query>>, deps: ApiDeps) => Promise<z.input<Answer>>,
): Route {
  return {
    ...document,
    ...schemas,
    run: async ({ body, query, ...rest }, deps) => {
      const call = {
        ...rest,
        body: check(schemas.body, body),
        query: check(schemas.query, query),
      };
      return schemas.answer.parse(await run(call, deps));
    },
  };
}

/** Makes a route that answers lines, one after the other, each of which the schema describes. */
export function streamed<Answer extends z.ZodType, Query extends z.ZodType = z.ZodUnknown>(
  document: Omit<RouteDocument, 'lines'>,
  schemas: RouteSchemas<z.ZodUndefined, Query, Answer>,
  run: (call: CheckedCall<undefined, z.output<Query>>, deps: ApiDeps) => Promise<AsyncIterable<string>>,
): Route {
  return {
    ...document,
    ...schemas,
    lines: true,
    run: ({ body: _none, query, ...call }, deps) =>
      run({ ...call, body: undefined, query: check(schemas.query, query) }, deps),
  };
}

/** Where a route has no schema for it, nothing of it is looked at. */
function check<T extends z.ZodType>(schema: T | undefined, value: unknown): z.output<T> {
  if (!schema) return undefined as z.output<T>;
  const result = schema.safeParse(value, { error: sentenceOf });
  if (result.success) {
    // Text of PostgreSQL cannot hold it, and no text of a person does.
    const odd = Object.entries(Object(result.data)).find(([, part]) => [part].flat().some(holdsNul));
    if (!odd) return result.data;
    throw invalidRequest(`${odd[0]}: holds a NUL character`);
  }
  const problems = result.error.issues.flatMap((issue) =>
    issue.code === 'unrecognized_keys'
      ? issue.keys.map((key) => `${[...issue.path, key].join('.')}: is not a field here`)
      : `${issue.path.join('.') || 'body'}: ${issue.message}`,
  );
  throw new BrokerError('INVALID_REQUEST', { detail: problems.join('; '), problems });
}

function holdsNul(value: unknown): boolean {
  return typeof value === 'string' && value.includes('\0');
}

/** Sentences for what zod says in its own language; the schemas' own sentences go through. */
function sentenceOf(issue: z.core.$ZodRawIssue): string | undefined {
  if (issue.code === 'invalid_type')
    return issue.input === undefined ? 'is missing' : `must be ${nameOf(issue.expected)}`;
  if (issue.code === 'too_small') return 'is too short';
  if (issue.code === 'too_big') return `is too long: at most ${issue.maximum}`;
  if (issue.code === 'invalid_value') return `must be one of ${issue.values.join(', ')}`;
  return undefined;
}

function nameOf(type: string): string {
  return /^[aeiou]/.test(type) ? `an ${type}` : `a ${type}`;
}
