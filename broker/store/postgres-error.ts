/**
 * Translates what `pg` throws, at the point of contact. PostgreSQL quotes row values in `detail`, `where` and some
 * messages, so nothing of its text is kept: only the SQLSTATE and the names of table, column and constraint.
 */
import { DatabaseError } from 'pg';
import { BrokerError, type ErrorCode } from '../errors.ts';

/** Turns anything thrown by a query, a transaction or a connection attempt into a `BrokerError`. */
export function translatePostgresError(error: unknown): BrokerError {
  if (error instanceof BrokerError) return error;
  if (error instanceof DatabaseError) {
    const detail = describe(error);
    return new BrokerError(codeOf(error), { detail, cause: new Error(detail) });
  }
  if (isConnectionFault(error)) {
    return new BrokerError('STORE_UNAVAILABLE', { detail: 'no connection to postgres', cause: error });
  }
  return new BrokerError('INTERNAL', { cause: error });
}

function describe(error: DatabaseError): string {
  const named = [error.table, error.column, error.constraint].filter((name) => name !== undefined);
  return ['postgres answered sqlstate', error.code ?? 'none', ...named].join(' ');
}

/** The classes of appendix A, "PostgreSQL Error Codes". */
function codeOf(error: DatabaseError): ErrorCode {
  const sqlstate = error.code ?? '';
  switch (sqlstate) {
    case '23505': // unique_violation
      return 'ALREADY_EXISTS';
    case 'TB001': // ours: migration 0008
      return 'KEY_VERSION_RETIRED';
    case '23503': // foreign_key_violation
      return missingReference(error.constraint);
    case '23514': // check_violation
      // By the trigger that keeps the dead from coming back; every other check is for faults of ours.
      return error.constraint === 'tenant_is_active' ? 'TENANT_SHREDDED' : 'INTERNAL';
    case '25006': // read_only_sql_transaction: a standby that has not been promoted
    case '25P03': // idle_in_transaction_session_timeout
    case '3D000': // invalid_catalog_name: the database is not there
    case '55P03': // lock_not_available
      return 'STORE_UNAVAILABLE';
  }
  switch (sqlstate.slice(0, 2)) {
    case '08': // connection exception
    case '28': // invalid authorization
    case '53': // insufficient resources
    case '57': // operator intervention: shutdown, crash, starting up, statement timeout
    case '58': // system error
      return 'STORE_UNAVAILABLE';
    case '40': // transaction rollback: deadlock, serialization failure
      return 'STORE_CONFLICT';
    default:
      return 'INTERNAL';
  }
}

function missingReference(constraint: string | undefined): ErrorCode {
  if (constraint?.endsWith('_tenant_fkey')) return 'TENANT_NOT_FOUND';
  if (constraint?.endsWith('_oauth_client_fkey')) return 'OAUTH_CLIENT_NOT_FOUND';
  if (constraint?.endsWith('_channel_fkey')) return 'CHANNEL_NOT_FOUND';
  return 'NOT_FOUND';
}

/** `pg` reports refused, lost and silent connections by plain errors without a SQLSTATE; a bug of ours is a subclass. */
function isConnectionFault(error: unknown): boolean {
  return error instanceof AggregateError || (error instanceof Error && error.constructor === Error);
}
