/**
 * Serves the routes under /v1. What every route needs is done here once: who calls, what may be sent, how errors leave.
 *
 * The API is for programs. It takes no cookies and answers no preflight: no web page can use it in a visitor's name.
 */
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import express, {
  type ErrorRequestHandler,
  type Request,
  type RequestHandler,
  type Response,
  type Router,
} from 'express';
import { BrokerError } from '../../errors.ts';
import type { Log } from '../log.ts';
import { contextOf } from '../request-context.ts';
import { brokerErrorOf, invalidRequest, logError } from '../thrown.ts';
import { answerError } from './error-answer.ts';
import type { Identify } from './identity.ts';
import { openApiDocument } from './openapi.ts';
import type { ApiDeps, Route } from './route.ts';
import { routes } from './routes.ts';

export function createApiRouter(deps: ApiDeps & { identify: Identify; log: Log; version: string }): Router {
  const { identify, log, version } = deps;
  const router = express.Router({ caseSensitive: true, strict: true });
  const document = openApiDocument(routes, version, deps.publicUrl);

  router.get('/openapi.json', (_request, response) => void response.json(document));
  router.use(refuseCookies);
  // Who calls comes before what is sent: nobody unknown makes us read a body.
  router.use(async (request, response, next) => {
    response.locals.caller = await identify(request.get('authorization'), contextOf(response));
    next();
  });
  router.use(requireJson, express.json({ limit: '64kb', type: 'application/json' }));
  for (const route of routes) router[route.method](expressPath(route.path), handle(route, deps));
  for (const [path, methods] of methodsByPath()) router.all(expressPath(path), refuseMethod(methods));
  router.use(() => {
    throw new BrokerError('NOT_FOUND');
  });
  router.use(errorHandler(log));
  return router;
}

function handle(route: Route, deps: ApiDeps): RequestHandler {
  return async (request, response) => {
    const { caller } = response.locals;
    const channel = String(request.params.channel ?? '');
    const oauthClient = String(request.params.oauth_client ?? '');
    const tenant = String(request.params.tenant ?? '');
    const gone = new AbortController();
    response.once('close', () => gone.abort());
    const call = {
      caller,
      body: request.body,
      query: request.query,
      channel,
      tenant,
      oauthClient,
      notification: String(request.params.notification ?? ''),
      signal: gone.signal,
    };
    const answer = await route.run(call, deps);
    response.status(route.status);
    if (route.lines) return sendLines(response, answer as AsyncIterable<string>);
    response.json(answer);
  };
}

/**
 * Sends line by line, as fast as they are read. Where it fails on the way, the connection is cut: a file that ends early must
 * not look whole.
 */
async function sendLines(response: Response, lines: AsyncIterable<string>): Promise<void> {
  const iterator = lines[Symbol.asyncIterator]();
  // What cannot be begun is an answer of its own.
  const first = await iterator.next();
  response.type('application/x-ndjson');
  async function* all() {
    if (first.done) return;
    yield `${first.value}\n`;
    for await (const line of { [Symbol.asyncIterator]: () => iterator }) yield `${line}\n`;
  }
  await pipeline(Readable.from(all()), response);
}

const refuseCookies: RequestHandler = (request, _response, next) => {
  if (request.get('cookie') !== undefined) throw invalidRequest('cookie: the API takes no cookies; use a bearer token');
  next();
};

const requireJson: RequestHandler = (request, _response, next) => {
  if (hasBody(request) && !request.is('application/json'))
    throw invalidRequest('content-type: must be application/json');
  next();
};

function hasBody(request: Request): boolean {
  return request.get('transfer-encoding') !== undefined || Number(request.get('content-length') ?? 0) > 0;
}

function refuseMethod(methods: readonly string[]): RequestHandler {
  return (_request, response) => {
    response.set('Allow', methods.join(', '));
    answerError(response, invalidRequest(`method: use ${methods.join(' or ')}`), contextOf(response).requestId, 405);
  };
}

function methodsByPath(): ReadonlyMap<string, readonly string[]> {
  const methods = new Map<string, string[]>();
  for (const { path, method } of routes) methods.set(path, [...(methods.get(path) ?? []), method.toUpperCase()]);
  return methods;
}

/** Express knows an error handler by its four parameters. */
function errorHandler(log: Log): ErrorRequestHandler {
  return (thrown, _request, response, _next) => {
    const error = brokerErrorOf(thrown);
    // Whoever went away before the end wants no answer, and nothing is wrong.
    if (response.destroyed && response.headersSent) return;
    logError(log, response, error);
    if (response.headersSent) return void response.destroy();
    answerError(response, error, contextOf(response).requestId);
  };
}

/** From OpenAPI's spelling to express's; the router is mounted at /v1. */
function expressPath(path: string): string {
  return path.replace('/v1', '').replaceAll(/\{(\w+)\}/g, ':$1');
}
