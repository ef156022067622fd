/**
 * domain/token-bucket.ts in Lua: Redis runs it alone, so that no two replicas take the same token. The contract
 * `test/contract/rate-limits.test.ts` holds both to the same answers.
 *
 *   KEYS[1]  the bucket of a part: tokens, at, rate, halvedAt
 *   KEYS[2]  until when the whole scope is closed, in ms
 *   ARGV     'take' or 'slow', now, rate, burst, slowest rate, patience or for how long it is closed; all times in ms
 *
 * Answers {granted, waitMs}. The time is the broker's and not the server's, as everywhere in the broker.
 */
import { clockSkewMs, riseMs, settleMs } from '../domain/token-bucket.ts';

export const tokenBucketScript = `
local act, now, most, burst = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local slowest, ms = tonumber(ARGV[5]), tonumber(ARGV[6])
local closed = tonumber(redis.call('GET', KEYS[2]) or '0')
local stored = redis.call('HMGET', KEYS[1], 'tokens', 'at', 'rate', 'halvedAt')
local tokens, at, rate, halved = tonumber(stored[1]), tonumber(stored[2]), tonumber(stored[3]), tonumber(stored[4])
if tokens then
  if at > math.max(now, closed) + ${clockSkewMs} then at = now end
  local passed = math.max(0, now - at)
  rate = math.min(most, rate + most * passed / ${riseMs})
  tokens = math.min(burst, tokens + rate * passed / 1000)
  at = math.max(at, now)
  halved = math.min(halved, now)
else
  tokens, at, rate, halved = burst, now, most, 0
end
local granted, wait = 1, 0
if act == 'take' then
  local missing = math.max(0, 1 - tokens)
  local opens = math.max(0, math.max(closed, at) - now)
  wait = math.ceil(missing > 0 and opens + missing * 1000 / rate or opens)
  if wait <= ms then tokens = tokens - 1 else granted = 0 end
else
  closed = math.max(closed, now + ms)
  tokens = math.min(0, tokens)
  at = math.max(at, closed)
  if now - halved >= ${settleMs} then
    rate = math.max(slowest, rate / 2)
    halved = now
  end
  if ms > 0 then redis.call('SET', KEYS[2], string.format('%.0f', closed), 'PX', string.format('%.0f', ms + ${clockSkewMs})) end
end
redis.call('HSET', KEYS[1], 'tokens', string.format('%.6f', tokens), 'at', string.format('%.0f', at),
  'rate', string.format('%.6f', rate), 'halvedAt', string.format('%.0f', halved))
redis.call('PEXPIRE', KEYS[1], string.format('%.0f', ${2 * riseMs} + math.max(0, at - now)))
return {granted, wait}
`;
