import assert from 'node:assert/strict';
import { hash } from 'node:crypto';
import { type TestContext, test } from 'node:test';
import type { ChannelStatus, GetAccessTokenRequest } from '../../proto/load.ts';
import type { ReleasedToken } from '../../sidecar/broker-client.ts';
import { SidecarError, sidecarError } from '../../sidecar/errors.ts';
import { refreshTime, rememberUntil } from '../../sidecar/token-policy.ts';
import { createTokenSource } from '../../sidecar/token-source.ts';

const HOUR = 3_600;
const MINUTE = 60_000;

/** A token source on a clock that stands still, over a broker that does as told. */
function useTokens(t: TestContext, { patienceMs = Number.POSITIVE_INFINITY } = {}) {
  let watched: readonly string[] = [];
  t.mock.timers.enable({ apis: ['setTimeout', 'Date'], now: 1_780_000_000_000 });
  const calls: Partial<GetAccessTokenRequest>[] = [];
  let answer: () => ReleasedToken | Promise<ReleasedToken> = () => token(HOUR);
  const tokens = createTokenSource({
    broker: {
      async getAccessToken(request) {
        calls.push(request);
        return answer();
      },
    },
    log: { info() {}, warn() {}, error() {} },
    now: Date.now,
    random: () => 0,
    patienceMs,
    recheckMs: 15_000,
    onChannels: (channels) => {
      watched = channels;
    },
  });
  t.after(tokens.stop);
  return {
    tokens,
    calls,
    watched: () => watched,
    answers: (next: typeof answer) => {
      answer = next;
    },
    pass: async (milliseconds: number) => {
      t.mock.timers.tick(milliseconds);
      await new Promise(setImmediate);
    },
  };
}

let made = 0;
function token(seconds: number, scopes: readonly string[] = ['upload']): ReleasedToken {
  made += 1;
  const expiresAt = Date.now() + seconds * 1_000;
  return { channelId: 'ch_1', accessToken: `token-${made}`, expiresAt, scopes, youtubeChannelId: 'UC1', generation: 1 };
}

const wish = (change: { minTtlSeconds?: number; scopes?: readonly string[]; channelId?: string } = {}) => ({
  channelId: 'ch_1',
  minTtlSeconds: 0,
  scopes: [],
  ...change,
});
const down = () => {
  throw sidecarError('BROKER_UNREACHABLE');
};
const refusal = (code: string, retryAfter?: number) =>
  new SidecarError({ code, http: 403, sentence: 'No.', next: undefined, retryAfter });
const code = (expected: string) => (error: unknown) => error instanceof SidecarError && error.code === expected;

test('asks the broker once for many readers at the same time', async (t) => {
  const { tokens, calls } = useTokens(t);
  const served = await Promise.all(Array.from({ length: 50 }, () => tokens.read(wish())));
  assert.equal(calls.length, 1);
  assert.equal(new Set(served.map((each) => each.token.accessToken)).size, 1);
  assert.equal(served[0]?.stale, undefined);
});

test('asks for each channel by itself', async (t) => {
  const { tokens, calls } = useTokens(t);
  await Promise.all([tokens.read(wish()), tokens.read(wish({ channelId: 'ch_2' }))]);
  assert.deepEqual(calls.map(({ channelId }) => channelId).sort(), ['ch_1', 'ch_2']);
});

test('answers from memory without a call, as the same object, until a fresher one is due', async (t) => {
  const { tokens, calls, pass } = useTokens(t);
  const first = await tokens.read(wish());
  await pass(49 * MINUTE);
  assert.equal(tokens.held(wish()), first);
  assert.equal(calls.length, 1);
});

test('has nothing in memory before the first read, and says so without a call', (t) => {
  const { tokens, calls } = useTokens(t);
  assert.equal(tokens.held(wish()), undefined);
  assert.equal(tokens.holds('ch_1'), false);
  assert.equal(calls.length, 0);
});

test('replaces a token that is read ten minutes before its end, in the background', async (t) => {
  const { tokens, calls, pass } = useTokens(t);
  const first = await tokens.read(wish());
  await pass(50 * MINUTE);
  assert.equal(calls.length, 2);
  assert.equal(calls[1]?.minTtlSeconds, 600);
  assert.notEqual(tokens.held(wish())?.token.accessToken, first.token.accessToken);
});

test('makes one call for a token that is due, however many read it meanwhile', async (t) => {
  const { tokens, calls, answers, pass } = useTokens(t);
  await tokens.read(wish());
  let release = (_: ReleasedToken) => {};
  answers(
    () =>
      new Promise((resolve) => {
        release = resolve;
      }),
  );
  await pass(50 * MINUTE);
  for (let reader = 0; reader < 20; reader += 1) assert.ok(tokens.held(wish()));
  assert.equal(calls.length, 2);
  const fresher = token(HOUR);
  release(fresher);
  await pass(0);
  assert.equal(tokens.held(wish())?.token, fresher);
});

test('lets a token lapse that nobody has read since it came', async (t) => {
  const { tokens, calls, pass } = useTokens(t);
  await tokens.read(wish());
  await pass(50 * MINUTE);
  await pass(50 * MINUTE);
  assert.equal(calls.length, 2);
  await pass(10 * MINUTE);
  assert.equal(tokens.held(wish()), undefined);
  assert.equal(calls.length, 2);
});

test('refreshes on the first read after the due time a token that nobody had read', async (t) => {
  const { tokens, calls, pass } = useTokens(t);
  await tokens.read(wish());
  await pass(50 * MINUTE);
  await pass(50 * MINUTE);
  assert.ok(tokens.held(wish()));
  await pass(0);
  assert.equal(calls.length, 3);
});

test('never gives a token with less than 305 s while the broker has a fresher one', async (t) => {
  const { tokens, answers, pass } = useTokens(t);
  answers(() => token(400));
  await tokens.read(wish());
  await pass(10_000);
  answers(() => token(HOUR));
  assert.ok(tokens.held(wish()));
  await pass(90_000);
  assert.equal(tokens.held(wish()), undefined);
  const { token: fresher } = await tokens.read(wish());
  assert.equal(fresher.expiresAt - Date.now(), HOUR * 1_000);
});

test('gives a short token once the broker has none that is longer, without asking on every read', async (t) => {
  const { tokens, calls, answers } = useTokens(t);
  answers(() => token(200));
  for (let reader = 0; reader < 20; reader += 1) assert.equal((await tokens.read(wish())).stale, undefined);
  assert.equal(calls.length, 1);
});

test('gives what is left of a token while the broker is away, marked stale, and nothing past its end', async (t) => {
  const { tokens, answers, pass } = useTokens(t);
  await tokens.read(wish());
  answers(down);
  await pass(50 * MINUTE);
  assert.equal(tokens.held(wish())?.stale, 'BROKER_UNREACHABLE');
  await pass(9 * MINUTE + 58_000);
  assert.equal((await tokens.read(wish())).stale, 'BROKER_UNREACHABLE');
  await pass(2_000);
  await assert.rejects(tokens.read(wish()), code('BROKER_UNREACHABLE'));
});

test('gives a fresh token again, no longer stale, when the broker is back', async (t) => {
  const { tokens, answers, pass } = useTokens(t);
  await tokens.read(wish());
  answers(down);
  await pass(50 * MINUTE);
  answers(() => token(HOUR));
  await pass(10_000);
  assert.equal(tokens.held(wish())?.stale, undefined);
});

test('drops the token when the broker refuses for good', async (t) => {
  const { tokens, answers, pass } = useTokens(t);
  await tokens.read(wish());
  answers(() => {
    throw refusal('RECONSENT_REQUIRED');
  });
  await pass(50 * MINUTE);
  assert.equal(tokens.held(wish()), undefined);
  await assert.rejects(tokens.read(wish()), code('RECONSENT_REQUIRED'));
});

test('remembers a refusal for a moment and asks again after it', async (t) => {
  const { tokens, calls, answers, pass } = useTokens(t);
  answers(() => {
    throw refusal('ACCESS_DENIED');
  });
  for (let reader = 0; reader < 20; reader += 1) await assert.rejects(tokens.read(wish()), code('ACCESS_DENIED'));
  assert.equal(calls.length, 1);
  answers(() => token(HOUR));
  await pass(15_000);
  assert.ok(await tokens.read(wish()));
});

test('asks a broker that is away at most once a second, and finds it at once when it is back', async (t) => {
  const { tokens, calls, answers, pass } = useTokens(t);
  answers(down);
  for (let reader = 0; reader < 20; reader += 1) await assert.rejects(tokens.read(wish()), code('BROKER_UNREACHABLE'));
  assert.equal(calls.length, 1);
  answers(() => token(HOUR));
  await pass(1_000);
  assert.ok(await tokens.read(wish()));
});

test('asks the broker for a scope that the token lacks, and keeps the token when it is refused', async (t) => {
  const { tokens, calls, answers } = useTokens(t);
  const { token: kept } = await tokens.read(wish());
  answers(() => {
    throw refusal('SCOPE_NOT_GRANTED');
  });
  for (let reader = 0; reader < 5; reader += 1)
    await assert.rejects(tokens.read(wish({ scopes: ['readonly'] })), code('SCOPE_NOT_GRANTED'));
  assert.deepEqual(calls[1]?.scopes, ['readonly']);
  assert.equal(calls.length, 2);
  assert.equal(tokens.held(wish({ scopes: ['upload'] }))?.token, kept);
});

test('gives no token that lacks a scope, also when the broker released it', async (t) => {
  const { tokens, calls } = useTokens(t);
  for (let reader = 0; reader < 5; reader += 1)
    await assert.rejects(tokens.read(wish({ scopes: ['readonly'] })), code('SCOPE_NOT_GRANTED'));
  assert.equal(calls.length, 1);
});

test('asks for the life that was wished, and gives nothing shorter, also while the broker is away', async (t) => {
  const { tokens, calls, answers, pass } = useTokens(t);
  await tokens.read(wish());
  await pass(20 * MINUTE);
  assert.equal(tokens.held(wish({ minTtlSeconds: 3_000 })), undefined);
  answers(down);
  await assert.rejects(tokens.read(wish({ minTtlSeconds: 3_000 })), code('BROKER_UNREACHABLE'));
  assert.equal(calls[1]?.minTtlSeconds, 3_000);
  assert.ok(await tokens.read(wish()));
  answers(() => token(2_000));
  await pass(1_000);
  for (let reader = 0; reader < 5; reader += 1)
    await assert.rejects(tokens.read(wish({ minTtlSeconds: 3_000 })), code('LIFE_TOO_SHORT'));
  assert.equal(calls.length, 3);
});

test('serves a reader with other wishes that waited for the same call', async (t) => {
  const { tokens, calls, answers } = useTokens(t);
  answers(() => token(HOUR, ['upload', ...(calls.at(-1)?.scopes ?? [])]));
  const [plain, scoped] = await Promise.all([tokens.read(wish()), tokens.read(wish({ scopes: ['readonly'] }))]);
  assert.deepEqual(plain.token.scopes, ['upload']);
  assert.deepEqual(scoped.token.scopes, ['upload', 'readonly']);
  assert.equal(calls.length, 2);
});

test('forgets everything when it stops', async (t) => {
  const { tokens } = useTokens(t);
  await tokens.read(wish());
  tokens.stop();
  assert.equal(tokens.held(wish()), undefined);
});

test('a token is due ten minutes or a sixth of its life before its end, and up to a tenth earlier', () => {
  assert.equal(refreshTime(0, 60 * MINUTE, 0), 50 * MINUTE);
  assert.equal(refreshTime(0, 60 * MINUTE, 1), 45 * MINUTE);
  assert.equal(refreshTime(0, 120 * MINUTE, 0), 100 * MINUTE);
  assert.equal(refreshTime(0, 8 * MINUTE, 0), 4 * MINUTE);
});

test('failures are remembered as long as the broker says, but not for long', () => {
  assert.equal(rememberUntil(sidecarError('BROKER_UNREACHABLE'), 0), 1_000);
  assert.equal(rememberUntil(refusal('RATE_LIMITED', 20), 0), 20_000);
  assert.equal(rememberUntil(refusal('ACCESS_DENIED', 1), 0), 15_000);
  assert.equal(rememberUntil(refusal('ACCESS_DENIED', 86_400), 0), 30_000);
});

const status = (change: Partial<ChannelStatus> = {}): ChannelStatus => ({
  channelId: 'ch_1',
  availability: 'AVAILABLE',
  code: '',
  generation: 1,
  message: '',
  ...change,
});
const suspended = status({ availability: 'UNAVAILABLE', code: 'CHANNEL_SUSPENDED', message: 'It is suspended.' });

test('drops a token at once when the broker withdraws the channel, and says why without asking', async (t) => {
  const { tokens, calls } = useTokens(t);
  await tokens.read(wish());
  for (const told of [suspended, status({ availability: 'DENIED', code: 'ACCESS_DENIED', message: 'No.' })]) {
    tokens.hear([told]);
    assert.equal(tokens.held(wish()), undefined);
    await assert.rejects(tokens.read(wish()), { code: told.code, http: 403, sentence: told.message });
  }
  assert.equal(calls.length, 1);
});

test('does not keep a token that was on its way when the channel was withdrawn', async (t) => {
  const { tokens, answers } = useTokens(t);
  let release = (_: ReleasedToken) => {};
  answers(() => new Promise((resolve) => (release = resolve)));
  const reading = tokens.read(wish());
  tokens.hear([suspended]);
  release(token(HOUR));
  await assert.rejects(reading, { code: 'CHANNEL_SUSPENDED' });
  assert.equal(tokens.holds('ch_1'), false);
});

test('asks anew for a token that was on its way while the channel was withdrawn and given back', async (t) => {
  const { tokens, calls, answers } = useTokens(t);
  let release = (_: ReleasedToken) => {};
  answers(() => new Promise((resolve) => (release = resolve)));
  const reading = tokens.read(wish());
  tokens.hear([suspended]);
  tokens.hear([status()]);
  const [before, after] = [token(HOUR), token(HOUR)];
  answers(() => after);
  release(before);
  assert.equal((await reading).token.accessToken, after.accessToken);
  assert.equal(calls.length, 2);
});

test('drops a token of an older generation, fetches one of the newer, and takes no older one for it', async (t) => {
  const { tokens, calls, answers, pass } = useTokens(t);
  const old = await tokens.read(wish());
  tokens.held(wish());
  const newer = { ...token(HOUR), generation: 2 };
  let answer: ReleasedToken = old.token;
  answers(() => {
    const given = answer;
    answer = newer;
    return given;
  });
  tokens.hear([status({ generation: 2 })]);
  await pass(0);
  assert.equal(tokens.held(wish())?.token.accessToken, newer.accessToken);
  assert.equal(calls.length, 3);
  tokens.hear([status({ generation: 2 })]);
  assert.equal(tokens.held(wish())?.token.accessToken, newer.accessToken);
});

test('fetches a token that is in use as soon as the channel is available again', async (t) => {
  const { tokens, calls, pass } = useTokens(t);
  await tokens.read(wish());
  tokens.held(wish());
  tokens.hear([suspended]);
  assert.equal(calls.length, 1);
  tokens.hear([status()]);
  await pass(0);
  assert.equal(calls.length, 2);
  assert.ok(tokens.held(wish()));
});

test('knows which channels there is something to hear of', async (t) => {
  const { tokens, watched, answers, pass } = useTokens(t);
  await tokens.read(wish());
  assert.deepEqual(watched(), ['ch_1']);
  tokens.hear([suspended]);
  assert.deepEqual(watched(), ['ch_1'], 'it is told there when it is available again');
  answers(() => {
    throw refusal('ACCESS_DENIED');
  });
  await assert.rejects(tokens.read(wish({ channelId: 'ch_none' })));
  assert.deepEqual(watched(), ['ch_1']);
  await pass(0);
});

test('checks a token that is read with the broker again and again while nothing is told of its channel', async (t) => {
  const { tokens, calls, answers, pass } = useTokens(t, { patienceMs: 30_000 });
  const released = token(HOUR);
  answers(() => released);
  await tokens.read(wish());
  for (let spoken = 0; spoken < 12; spoken += 1) {
    tokens.hear([status()]);
    await pass(10_000);
    assert.ok(tokens.held(wish()));
  }
  assert.equal(calls.length, 1, 'it was told of');
  for (let silent = 0; silent < 12; silent += 1) {
    await pass(10_000);
    assert.ok(tokens.held(wish()), 'a reader waits for nothing');
  }
  assert.ok(calls.length >= 5 && calls.length <= 9, `asked ${calls.length} times`);
  answers(() => {
    throw refusal('RECONSENT_REQUIRED');
  });
  await pass(20_000);
  await assert.rejects(tokens.read(wish()), code('RECONSENT_REQUIRED'));
});

test('asks first for a token that nobody has read since nothing is told, and serves it while the broker is away', async (t) => {
  const { tokens, calls, answers, pass } = useTokens(t, { patienceMs: 30_000 });
  await tokens.read(wish());
  await pass(MINUTE);
  assert.equal(calls.length, 2, 'it was read once');
  const served = tokens.held(wish());
  await pass(MINUTE);
  await pass(10 * MINUTE);
  assert.equal(calls.length, 3);
  assert.equal(tokens.held(wish()), undefined);
  answers(down);
  const left = await tokens.read(wish());
  assert.equal(left.stale, 'BROKER_UNREACHABLE');
  assert.ok(left.token.expiresAt > Date.now() && served);
  await pass(10 * MINUTE);
  answers(() => {
    throw refusal('CHANNEL_REVOKED');
  });
  await pass(40_000);
  await assert.rejects(tokens.read(wish()), code('CHANNEL_REVOKED'));
});

test('asks the broker about a withdrawn channel where it is silent since', async (t) => {
  const { tokens, calls, pass } = useTokens(t, { patienceMs: 30_000 });
  tokens.hear([suspended]);
  await pass(29_000);
  await assert.rejects(tokens.read(wish()), code('CHANNEL_SUSPENDED'));
  assert.equal(calls.length, 0);
  await pass(2_000);
  await tokens.read(wish());
  assert.equal(calls.length, 1);
});

const sha256 = (token: string) => hash('sha256', token, 'hex');

test('drops a token that is reported as rejected, and asks the broker for another than that', async (t) => {
  const { tokens, calls } = useTokens(t);
  const { token: first } = await tokens.read(wish());
  assert.equal(await tokens.reject('ch_1', sha256(first.accessToken)), 'replaced');
  assert.equal(calls[0]?.rejectedTokenSha256, '');
  assert.equal(calls[1]?.rejectedTokenSha256, sha256(first.accessToken));
  assert.notEqual(tokens.held(wish())?.token.accessToken, first.accessToken);
});

test('has those who read meanwhile wait for the other token, and asks once', async (t) => {
  const { tokens, calls, answers } = useTokens(t);
  const { token: first } = await tokens.read(wish());
  let release = (_: ReleasedToken) => {};
  answers(() => new Promise((resolve) => (release = resolve)));
  const reported = tokens.reject('ch_1', sha256(first.accessToken));
  await new Promise(setImmediate);
  assert.equal(tokens.held(wish()), undefined);
  const reading = tokens.read(wish());
  const fresher = token(HOUR);
  release(fresher);
  assert.equal((await reading).token, fresher);
  assert.equal(await reported, 'replaced');
  assert.equal(calls.length, 2);
});

test('takes one report in a minute, and none of a token that is not held', async (t) => {
  const { tokens, calls, pass } = useTokens(t);
  const { token: first } = await tokens.read(wish());
  for (const unknown of ['ch_1', 'ch_none']) assert.equal(await tokens.reject(unknown, sha256('other')), 'unknown');
  await tokens.reject('ch_1', sha256(first.accessToken));
  assert.equal(await tokens.reject('ch_1', sha256(first.accessToken)), 'unknown', 'it has been replaced');
  const second = tokens.held(wish())?.token.accessToken ?? '';
  await assert.rejects(tokens.reject('ch_1', sha256(second)), {
    code: 'REPORTED_TOO_OFTEN',
    http: 429,
    retryAfter: 60,
  });
  assert.equal(tokens.held(wish())?.token.accessToken, second);
  assert.equal(calls.length, 2);
  await pass(60_000);
  assert.equal(await tokens.reject('ch_1', sha256(second)), 'replaced');
});

test('keeps a reported token where the broker has no other, and serves it on, marked stale, while the broker is away', async (t) => {
  const { tokens, answers, pass } = useTokens(t);
  const { token: first } = await tokens.read(wish());
  const report = () => tokens.reject('ch_1', sha256(first.accessToken));
  answers(down);
  await assert.rejects(report(), code('BROKER_UNREACHABLE'));
  assert.equal(tokens.held(wish())?.token, first);
  assert.equal(tokens.held(wish())?.stale, 'BROKER_UNREACHABLE');
  await pass(1_000);
  answers(() => ({ ...first }));
  assert.equal(await report(), 'kept');
  assert.equal(tokens.held(wish())?.token.accessToken, first.accessToken);
});

test('gives no reported token back where the channel is withdrawn meanwhile', async (t) => {
  const { tokens, answers } = useTokens(t);
  const { token: first } = await tokens.read(wish());
  let fail = (_: Error) => {};
  answers(() => new Promise((_resolve, reject) => (fail = reject)));
  const reported = tokens.reject('ch_1', sha256(first.accessToken));
  await new Promise(setImmediate);
  tokens.hear([suspended]);
  fail(sidecarError('BROKER_UNREACHABLE'));
  await assert.rejects(reported, code('CHANNEL_SUSPENDED'));
  assert.equal(tokens.held(wish()), undefined);
});

test('fetches the tokens that are kept before anybody reads them, and keeps them fresh for ever', async (t) => {
  const { tokens, calls, pass } = useTokens(t);
  tokens.keep(['ch_1', 'ch_2']);
  assert.equal(calls.length, 0);
  await pass(0);
  assert.deepEqual(
    calls.map(({ channelId }) => channelId),
    ['ch_1', 'ch_2'],
  );
  assert.ok(tokens.holds('ch_1'));
  for (let round = 2; round <= 4; round += 1) {
    await pass(50 * MINUTE);
    assert.equal(calls.length, 2 * round, 'nobody has read them');
  }
});

test('tries again and again for a token that is kept, as gently as for any other', async (t) => {
  const { tokens, calls, answers, pass } = useTokens(t);
  answers(down);
  tokens.keep(['ch_1']);
  await pass(0);
  for (let seconds = 0; seconds < 10; seconds += 1) await pass(1_000);
  assert.ok(calls.length > 3 && calls.length <= 11, `asked ${calls.length} times`);
  answers(() => {
    throw refusal('ACCESS_DENIED');
  });
  await pass(1_000);
  const before = calls.length;
  for (let seconds = 0; seconds < 60; seconds += 1) await pass(1_000);
  assert.ok(calls.length - before <= 4, 'a refusal is remembered for 15 s');
  answers(() => token(HOUR));
  await pass(15_000);
  assert.ok(tokens.holds('ch_1'));
});

test('lists what it knows of each channel, and counts that as no reading', async (t) => {
  const { tokens, answers, pass } = useTokens(t);
  const first = await tokens.read(wish());
  answers(down);
  await assert.rejects(tokens.read(wish({ channelId: 'ch_2' })));
  assert.deepEqual(tokens.list(), [
    { channelId: 'ch_1', served: first, problem: undefined },
    { channelId: 'ch_2', served: undefined, problem: 'BROKER_UNREACHABLE' },
  ]);
  await pass(HOUR * 1_000);
  assert.ok(
    tokens.list().every(({ served }) => served === undefined),
    'what has ended is not held',
  );
});
