/** A refusal on the wire. */
import { Metadata, type ServiceError, status } from '@grpc/grpc-js';
import { ERROR_CODE_KEY, RETRY_AFTER_KEY } from '../../proto/load.ts';
import type { BrokerError } from '../errors.ts';

/** The code, the table's sentence and the next step; never the detail or the cause. */
export function toServiceError(error: BrokerError): Partial<ServiceError> {
  const { row } = error;
  const metadata = new Metadata();
  metadata.set(ERROR_CODE_KEY, error.code);
  if (error.retryAfter !== undefined) metadata.set(RETRY_AFTER_KEY, String(Math.ceil(error.retryAfter)));
  const problems = error.problems.length > 0 ? ` (${error.problems.join('; ')})` : '';
  return { code: status[row.grpc], details: `${row.sentence}${problems} ${row.next}`, metadata };
}
