/** What the servers' own parts throw, in the words of the error table; and what everything else is, written down once. */
import type { Response } from 'express';
import { asBrokerError, BrokerError } from '../errors.ts';
import type { Log } from './log.ts';
import { contextOf } from './request-context.ts';

/** Turns what was thrown during a request into an error of the table. */
export function brokerErrorOf(thrown: unknown): BrokerError {
  if (thrown instanceof URIError) return new BrokerError('NOT_FOUND', { detail: 'path is not well encoded' });
  const type = thrown instanceof Error && 'type' in thrown ? thrown.type : undefined;
  if (type === 'entity.too.large') return invalidRequest('body: is too large');
  if (typeof type === 'string' && /^(?:entity|request|encoding|charset)\./.test(type)) {
    return invalidRequest('body: must be JSON in UTF-8');
  }
  return asBrokerError(thrown);
}

/** An INVALID_REQUEST with one problem, written `field: sentence`. */
export function invalidRequest(problem: string): BrokerError {
  return new BrokerError('INVALID_REQUEST', { detail: problem, problems: [problem] });
}

/** Writes the cause down for the operators; whoever called gets the request's id to ask by. */
export function logError(log: Log, response: Response, error: BrokerError): void {
  const { requestId } = contextOf(response);
  const fields = { requestId, code: error.code, detail: error.detail, err: error.cause };
  if (error.row.http >= 500) log.error(fields, 'request failed');
  else log.info(fields, 'request refused');
}
