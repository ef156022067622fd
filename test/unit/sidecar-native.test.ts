import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readNativeUrl } from '../../sidecar/endpoints/native-request.ts';

const PATH = '/v1/channels/ch_1/token';

const read: readonly [url: string, minTtlSeconds: number, scopes: string[]][] = [
  [PATH, 0, []],
  [`${PATH}?`, 0, []],
  [`${PATH}?min_ttl=3300`, 3300, []],
  [`${PATH}?scope=a%20b`, 0, ['a', 'b']],
  [`${PATH}?scope=a+b&scope=c&min_ttl=60`, 60, ['a', 'b', 'c']],
  [`${PATH}?scope=`, 0, []],
];

for (const [url, minTtlSeconds, scopes] of read)
  test(`reads ${url}`, () => {
    assert.deepEqual(readNativeUrl(url), { kind: 'token', wish: { channelId: 'ch_1', minTtlSeconds, scopes } });
  });

const others: readonly [url: string, request: object][] = [
  ['/v1/channels', { kind: 'channels' }],
  ['/v1/channels/ch_1/rejected', { kind: 'rejected', channelId: 'ch_1' }],
  ['/v1/channels/ch_1/oauthtoken', { kind: 'oauthtoken', channelId: 'ch_1' }],
];

for (const [url, request] of others)
  test(`reads ${url}`, () => {
    assert.deepEqual(readNativeUrl(url), request);
  });

const refused: readonly [url: string, code: string][] = [
  ['/', 'NOT_FOUND'],
  ['/v1/channels//token', 'NOT_FOUND'],
  ['/v1/channels/ch_1', 'NOT_FOUND'],
  ['/v1/channels/ch_1/token/', 'NOT_FOUND'],
  ['/v1/channels/ch%2F1/token', 'NOT_FOUND'],
  [`/v1/channels/${'x'.repeat(65)}/token`, 'NOT_FOUND'],
  [`//evil.example${PATH}`, 'NOT_FOUND'],
  ['//', 'NOT_FOUND'],
  ['http://127.0.0.1:7070/v1/channels/ch_1/token', 'NOT_FOUND'],
  ['/v1/channels/', 'NOT_FOUND'],
  ['/v1/channels?all=true', 'INVALID_REQUEST'],
  ['/v1/channels/ch_1/rejected?x=1', 'INVALID_REQUEST'],
  [`${PATH}?min_ttl=3301`, 'INVALID_REQUEST'],
  [`${PATH}?min_ttl=-1`, 'INVALID_REQUEST'],
  [`${PATH}?min_ttl=1.5`, 'INVALID_REQUEST'],
  [`${PATH}?min_ttl=`, 'INVALID_REQUEST'],
  [`${PATH}?min_ttl=1&min_ttl=2`, 'INVALID_REQUEST'],
  [`${PATH}?minttl=1`, 'INVALID_REQUEST'],
];

for (const [url, code] of refused)
  test(`answers ${code} to ${url.slice(0, 50)}`, () => {
    assert.equal(readNativeUrl(url), code);
  });
