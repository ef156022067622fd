/**
 * Where Google posts its security events (push delivery, RFC 8935). Open to anybody: what proves an event is the signature
 * in it. 202 without a body where it is taken in, 400 with the error of RFC 8935 section 2.4 where it never will be, 5xx where
 * it is to be sent again.
 */
import express, { type ErrorRequestHandler, type RequestHandler, type Response, type Router } from 'express';
import type { ReceiveSecurityEvent } from '../flow/receive-security-event.ts';
import { answerError } from './api/error-answer.ts';
import type { Log } from './log.ts';
import { contextOf } from './request-context.ts';
import { brokerErrorOf, invalidRequest, logError } from './thrown.ts';

const contentType = 'application/secevent+jwt';
/** Google's are about one KiB. */
const longest = '32kb';

export function createSecurityEventsRouter(deps: { receiveSecurityEvent: ReceiveSecurityEvent; log: Log }): Router {
  const { receiveSecurityEvent, log } = deps;
  const router = express.Router({ caseSensitive: true, strict: true });

  const receive: RequestHandler = async (request, response) => {
    const { ip, requestId } = contextOf(response);
    const received = await receiveSecurityEvent({ ip, requestId }, String(request.body).trim());
    if (received.result === 'taken') return void response.status(202).end();
    answerFault(response, received.fault, received.detail);
  };
  const requireToken: RequestHandler = (request, response, next) => {
    if (request.is(contentType)) return next();
    answerFault(response, 'invalid_request', `content-type must be ${contentType}`);
  };
  router.post('/', requireToken, express.text({ type: contentType, limit: longest, inflate: false }), receive);
  router.all('/', (_request, response) => {
    response.set('Allow', 'POST');
    answerError(response, invalidRequest('method: use POST'), contextOf(response).requestId, 405);
  });
  router.use(errorHandler(log));
  return router;
}

function answerFault(response: Response, err: string, description: string): void {
  response.status(400).set('Content-Language', 'en').json({ err, description });
}

/** Express knows an error handler by its four parameters. */
function errorHandler(log: Log): ErrorRequestHandler {
  return (thrown, _request, response, _next) => {
    const error = brokerErrorOf(thrown);
    if (response.destroyed || response.headersSent) return void response.destroy();
    logError(log, response, error);
    if (error.code === 'INVALID_REQUEST') return answerFault(response, 'invalid_request', 'the body cannot be read');
    // Ours or Google's trouble: to be sent again, whatever the table says of the code.
    answerError(response, error, contextOf(response).requestId, Math.max(500, error.row.http));
  };
}
