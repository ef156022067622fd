/** Takes requests from node:http: read, count, plan faults, call the endpoint, answer or misbehave. */
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import type { Counter } from './counters.ts';
import { type FaultBook, misbehave } from './faults.ts';
import { ApiError, apiErrorAnswer } from './google-api-error.ts';
import { type Answer, type Endpoint, notFound, type PracticeRequest, readRequest } from './http.ts';
import { OAuthError } from './oauth-error.ts';
import { type EndpointName, requestFacts } from './request-facts.ts';
import type { TokenBook } from './tokens.ts';

/** An endpoint under the name that faults and counts know it by. */
export interface Route {
  readonly endpoint: EndpointName;
  readonly answer: Endpoint;
}

/** What the listener works with. */
export interface ListenerParts {
  /** By `METHOD /path`. */
  readonly routes: Readonly<Record<string, Route>>;
  readonly tokens: TokenBook;
  readonly faults: FaultBook;
  readonly counter: Counter;
  /** Everything below `controlPath`: neither counted nor subject to faults. */
  readonly control: Endpoint;
  readonly controlPath: string;
}

const nowhere: Route = { endpoint: 'none', answer: notFound };

/** Creates the listener for `server.on('request', …)`. */
export function createListener(parts: ListenerParts): RequestListener {
  return (incoming, response) => {
    // A request that cannot be read belongs to a client that has gone: there is nobody to answer.
    handle(parts, incoming, response).catch(() => response.destroy());
  };
}

async function handle(parts: ListenerParts, incoming: IncomingMessage, response: ServerResponse): Promise<void> {
  const { routes, tokens, faults, counter, control, controlPath } = parts;
  const request = await readRequest(incoming);
  if (request.path.startsWith(controlPath)) return send(response, await answerOf(control, request));

  const { endpoint, answer: call } = routes[`${request.method} ${request.path}`] ?? nowhere;
  const facts = requestFacts(endpoint, request, tokens);
  const done = counter.arrived(facts, { parameters: parametersOf(request), headers: request.headers });
  response.once('close', () => done(response.headersSent ? response.statusCode : undefined));

  // No await between the count and the plan: whoever waited for the arrival finds the fault decided.
  const plan = faults.plan(facts);
  for (const wait of plan.waits.before) await wait();
  const proper = plan.takesEffect ? await answerOf(call, request) : undefined;
  for (const wait of plan.waits.after) await wait();
  const answer = misbehave(plan, response, proper);
  if (answer) send(response, answer);
}

async function answerOf(endpoint: Endpoint, request: PracticeRequest): Promise<Answer> {
  try {
    return await endpoint(request);
  } catch (error) {
    if (error instanceof OAuthError || error instanceof ApiError) return error.answer;
    return apiErrorAnswer('backendError', error instanceof Error ? error.message : undefined);
  }
}

function parametersOf({ query, form }: PracticeRequest): Record<string, string> {
  return Object.fromEntries([...query, ...form]);
}

function send(response: ServerResponse, { status, headers, body }: Answer): void {
  const length = headers['content-length'] ?? String(Buffer.byteLength(body));
  response.writeHead(status, { ...headers, 'content-length': length });
  response.end(body);
}
