import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DatabaseError } from 'pg';
import { BrokerError } from '../../broker/errors.ts';
import { translatePostgresError } from '../../broker/store/postgres-error.ts';

function answered(code: string, fields: Partial<DatabaseError> = {}): DatabaseError {
  return Object.assign(new DatabaseError('canary in the message', 0, 'error'), { code, ...fields });
}

for (const [code, sqlstates] of [
  [
    'STORE_UNAVAILABLE',
    ['08006', '25006', '25P03', '28P01', '3D000', '53300', '55P03', '57014', '57P01', '57P03', '58030'],
  ],
  ['STORE_CONFLICT', ['40001', '40P01']],
  ['ALREADY_EXISTS', ['23505']],
  ['INTERNAL', ['22021', '23502', '23514', '42501', '42P01', 'XX000']],
] as const) {
  test(`takes ${sqlstates.join(', ')} for ${code}`, () => {
    for (const sqlstate of sqlstates) assert.equal(translatePostgresError(answered(sqlstate)).code, code, sqlstate);
  });
}

test('tells from the constraint what is missing', () => {
  for (const [constraint, code] of [
    ['channels_tenant_fkey', 'TENANT_NOT_FOUND'],
    ['channels_oauth_client_fkey', 'OAUTH_CLIENT_NOT_FOUND'],
    ['consents_channel_fkey', 'CHANNEL_NOT_FOUND'],
    ['something_else', 'NOT_FOUND'],
  ] as const) {
    assert.equal(translatePostgresError(answered('23503', { constraint })).code, code);
  }
});

test('takes a lost or refused connection for STORE_UNAVAILABLE, and keeps its cause', () => {
  for (const fault of [
    new Error('Connection terminated unexpectedly'),
    Object.assign(new Error('refused'), { code: 'ECONNREFUSED' }),
    new AggregateError([new Error('refused')]),
  ]) {
    const error = translatePostgresError(fault);
    assert.equal(error.code, 'STORE_UNAVAILABLE');
    assert.equal(error.cause, fault);
  }
});

test('takes a bug of ours for INTERNAL, and passes on what is translated already', () => {
  assert.equal(translatePostgresError(new TypeError('undefined is not a function')).code, 'INTERNAL');
  const conflict = new BrokerError('STORE_CONFLICT');
  assert.equal(translatePostgresError(conflict), conflict);
});

test('keeps names and nothing that PostgreSQL quotes', () => {
  const error = translatePostgresError(
    answered('23505', { table: 'channels', constraint: 'channels_name_is_unique', detail: 'Key (name)=(canary)' }),
  );
  assert.equal(error.detail, 'postgres answered sqlstate 23505 channels channels_name_is_unique');
  const { cause } = error;
  assert.ok(cause instanceof Error);
  assert.doesNotMatch(`${error.stack} ${cause.stack} ${JSON.stringify(cause)}`, /canary/);
});
