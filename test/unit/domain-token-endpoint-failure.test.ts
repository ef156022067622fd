import assert from 'node:assert/strict';
import { test } from 'node:test';
import { classifyAnswer, type FailureClass, noAnswer } from '../../broker/domain/token-endpoint-failure.ts';

interface Row {
  readonly status: number;
  readonly body?: Record<string, unknown>;
  readonly is: FailureClass;
}

/** The error table of Google's token endpoint, row by row. */
const table: readonly Row[] = [
  { status: 400, body: { error: 'invalid_grant' }, is: 'grant_dead' },
  { status: 400, body: { error: 'invalid_grant', error_description: 'Bad Request' }, is: 'grant_dead' },
  { status: 400, body: { error: 'invalid_grant', error_subtype: 'invalid_rapt' }, is: 'session_control' },
  { status: 400, body: { error: 'admin_policy_enforced' }, is: 'admin_policy' },
  { status: 400, body: { error: 'use_dpop_nonce' }, is: 'dpop_rejected' },
  { status: 400, body: { error: 'invalid_dpop_proof' }, is: 'dpop_rejected' },
  { status: 401, body: { error: 'invalid_client' }, is: 'client_rejected' },
  { status: 400, body: { error: 'invalid_client' }, is: 'client_rejected' },
  { status: 400, body: { error: 'unauthorized_client' }, is: 'client_rejected' },
  { status: 401, body: { error: 'deleted_client' }, is: 'client_rejected' },
  { status: 403, is: 'rate_limited' },
  { status: 403, body: { error: 'rate_limit_exceeded' }, is: 'rate_limited' },
  { status: 429, is: 'rate_limited' },
  { status: 429, body: { error: 'invalid_grant' }, is: 'rate_limited' },
  { status: 500, is: 'unavailable' },
  { status: 503, body: { error: 'invalid_grant' }, is: 'unavailable' },
  { status: 200, body: {}, is: 'unavailable' },
  { status: 302, is: 'unavailable' },
  { status: 400, is: 'unavailable' },
  { status: 400, body: { error: 'invalid_request' }, is: 'request_rejected' },
  { status: 400, body: { error: 'unsupported_grant_type' }, is: 'request_rejected' },
  { status: 400, body: { error: 'something_new' }, is: 'request_rejected' },
];

for (const { status, body, is } of table) {
  test(`an answer ${status} ${JSON.stringify(body ?? 'without JSON')} is ${is}`, () => {
    const contentType = body ? 'application/json' : 'text/html';
    assert.equal(classifyAnswer({ status, contentType, body, retryAfter: undefined }).class, is);
  });
}

test('only the error fields decide, never the words of a description', () => {
  const body = { error: 'invalid_request', error_description: 'invalid_grant: token has been expired or revoked' };
  const failure = classifyAnswer({ status: 400, contentType: 'application/json', body, retryAfter: undefined });
  assert.equal(failure.class, 'request_rejected');
});

test('an answer that is cut off after 200 may have been acted upon', () => {
  assert.equal(
    classifyAnswer({ status: 200, contentType: 'application/json', body: undefined, retryAfter: undefined }).maybeActed,
    true,
  );
  assert.equal(noAnswer().maybeActed, true);
  assert.equal(
    classifyAnswer({ status: 400, contentType: '', body: { error: 'invalid_grant' }, retryAfter: undefined })
      .maybeActed,
    false,
  );
});
