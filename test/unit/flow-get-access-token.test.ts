/** What decided before a refresh may be true no more after it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { AuditRecord } from '../../broker/domain/audit-record.ts';
import { Secret } from '../../broker/domain/secret.ts';
import { BrokerError } from '../../broker/errors.ts';
import type { Authorize } from '../../broker/flow/authorize.ts';
import { createGetAccessToken } from '../../broker/flow/get-access-token.ts';
import type { AccessTokenCache, ReadableChannel } from '../../broker/ports.ts';
import { minute } from '../support/store-fixtures.ts';

const id = `ch_${'0'.repeat(26)}`;
const caller = {
  kind: 'workload',
  spiffeId: 'spiffe://example.org/workload/uploader',
  certificateSerial: '01',
  ip: undefined,
  requestId: 'r',
} as const;
const alive: ReadableChannel = {
  tenant: 'acme',
  state: 'active',
  rules: [{}],
  grant: {
    generation: 1,
    scopes: [],
    youtubeChannelId: 'UC-1',
    accessTokenCacheKey: undefined,
    tokenExpiresAt: undefined,
    refreshedAt: minute(0),
  },
};

const wider = { ...(alive.grant as NonNullable<ReadableChannel['grant']>), scopes: ['upload'] };

/** A read that waits for a refresh, during which the channel becomes as given. */
function readWhile(becomes: Partial<ReadableChannel>) {
  let channel = alive;
  const released: AuditRecord[] = [];
  const getAccessToken = createGetAccessToken({
    authorize: {
      refuse: async (_caller, _action, code) => {
        throw new BrokerError(code);
      },
    } as Partial<Authorize> as Authorize,
    store: { audit: { append: async (record: AuditRecord) => void released.push(record) } } as never,
    lookUpReadable: { find: async () => ({ channel, rememberedFrom: undefined }), forget: () => {} },
    cache: {} as AccessTokenCache,
    refreshChannel: {
      async refresh() {
        channel = { ...alive, ...becomes };
        return { accessToken: new Secret('ya29.new'), expiresAt: minute(60) };
      },
    },
    onUsed: () => {},
    clock: { now: () => minute(0) },
    sleep: async () => {},
    rateLimits: { take: async () => ({ granted: true, waitMs: 0 }) },
    forcedRate: { ratePerSecond: 1, burst: 1, slowestPerSecond: 1 },
  });
  const read = getAccessToken(caller, { channel: id, minTtlSeconds: 0, scopes: [], reason: 'upload' });
  return { read, released };
}

test('a token that a refresh brought is released while the channel is as it was', async () => {
  const { read, released } = readWhile({});
  assert.equal((await read).accessToken.reveal(), 'ya29.new');
  assert.equal(released.length, 1);
});

for (const [what, becomes, code] of [
  ['a channel that was revoked meanwhile', { state: 'revoked' }, 'CHANNEL_REVOKED'],
  ['a grant that Google said was revoked meanwhile', { state: 'needs_reconsent' }, 'RECONSENT_REQUIRED'],
  ['a workload whose access was taken away meanwhile', { rules: [] }, 'ACCESS_DENIED'],
  ['a workload whose rule has ended meanwhile', { rules: [{ expiresAt: minute(0) }] }, 'ACCESS_DENIED'],
  [
    'a rule that agrees to less than the token opens',
    { rules: [{ scopes: ['other'] }], grant: wider },
    'TOKEN_TOO_WIDE',
  ],
] as const) {
  test(`no token of a refresh is released for ${what}`, async () => {
    const { read, released } = readWhile(becomes);
    await assert.rejects(read, { code });
    assert.deepEqual(released, []);
  });
}
