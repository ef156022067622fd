import type { ErrorRequestHandler } from 'express';
import type { Log } from '../log.ts';
import { contextOf } from '../request-context.ts';
import { brokerErrorOf, logError } from '../thrown.ts';
import { messageForError } from './consent-messages.ts';
import { messagePage } from './consent-pages.ts';

/** Answers every error as a page. Express knows an error handler by its four parameters. */
export function createErrorPage(log: Log): ErrorRequestHandler {
  return (thrown, _request, response, _next) => {
    const error = brokerErrorOf(thrown);
    logError(log, response, error);
    if (error.retryAfter !== undefined) response.set('Retry-After', String(Math.ceil(error.retryAfter)));
    response.status(error.row.http).send(messagePage(messageForError(error.code), contextOf(response).requestId));
  };
}
