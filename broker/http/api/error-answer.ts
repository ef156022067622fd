/** Answers an error over the wire: the code, the table's sentence and the next step; never a cause, never a stack. */
import type { Response } from 'express';
import type { BrokerError } from '../../errors.ts';
import type { ErrorAnswer } from './schemas.ts';

/** @param status another than the table's, where HTTP has a closer one. */
export function answerError(response: Response, error: BrokerError, requestId: string, status = error.row.http): void {
  const { code, row, problems, retryAfter } = error;
  if (code === 'UNAUTHENTICATED') response.set('WWW-Authenticate', 'Bearer realm="token-broker"');
  if (retryAfter !== undefined) response.set('Retry-After', String(Math.ceil(retryAfter)));
  const body: ErrorAnswer = {
    error: { code, message: row.sentence, next: row.next, problems: [...problems], request_id: requestId },
  };
  response.status(status).json(body);
}
