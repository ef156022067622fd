/** Whoever waits for a refresh that is overtaken gets a token all the same, or hears what has become of the channel. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ChannelState } from '../../broker/domain/channel.ts';
import { Secret } from '../../broker/domain/secret.ts';
import { BrokerError } from '../../broker/errors.ts';
import { createRefreshChannel } from '../../broker/flow/refresh-channel.ts';
import { createRefreshFlights } from '../../broker/flow/refresh-flights.ts';
import type { AccessTokenCache, CachedToken, RefreshClaim, Store } from '../../broker/ports.ts';
import { anActiveChannel, minute, start } from '../support/store-fixtures.ts';

const token: CachedToken = { accessToken: new Secret('ya29.own'), expiresAt: minute(60) };
const caller = { kind: 'scheduler', requestId: 'r' } as const;
const patience = new AbortController().signal;
const overtaken = () => new BrokerError('STORE_CONFLICT', { detail: 'the claim has lapsed' });

/** A channel whose refreshes end one after the other as given. */
function useChannel(ends: readonly (CachedToken | BrokerError)[], state: ChannelState = 'active') {
  const left = [...ends];
  const channel = { ...anActiveChannel(), state };
  const flights = createRefreshFlights();
  let claims = 0;
  const made = createRefreshChannel({
    store: {
      channels: {
        claim: async () => {
          claims += 1;
          return { channel } as unknown as RefreshClaim;
        },
        find: async () => channel,
      },
    } as unknown as Store,
    cache: {} as AccessTokenCache,
    clock: { now: () => start },
    runClaim: async () => {
      const end = left.shift();
      if (!end || end instanceof BrokerError) throw end ?? new Error('asked too often');
      return end;
    },
    flights,
    replica: 'test',
    sleep: async () => {},
  });
  return { flights, read: () => made.refresh(caller, channel.id, patience), id: channel.id, claims: () => claims };
}

test('a refresh whose claim has lapsed is begun anew for who waits for it', async () => {
  const { read, claims } = useChannel([overtaken(), token]);
  assert.equal((await read()).accessToken.reveal(), 'ya29.own');
  assert.equal(claims(), 2);
});

test('who took part in the scheduler’s refresh, which was overtaken, has one begun that all of them share', async () => {
  const { flights, read, id, claims } = useChannel([token]);
  const schedulers = Promise.withResolvers<CachedToken>();
  flights.run(id, () => schedulers.promise).catch(() => {});
  const reads = [read(), read(), read()];
  schedulers.reject(overtaken());
  for (const each of await Promise.all(reads)) assert.equal(each.accessToken.reveal(), 'ya29.own');
  assert.equal(claims(), 1);
});

test('where a revocation has overtaken it, that is told', async () => {
  await assert.rejects(useChannel([overtaken()], 'revoked').read(), { code: 'CHANNEL_REVOKED' });
});

test('any other failure is told at once, and to the next who ask', async () => {
  const { read, claims } = useChannel([new BrokerError('AUTHORIZATION_SERVER_UNAVAILABLE')]);
  await assert.rejects(read(), { code: 'AUTHORIZATION_SERVER_UNAVAILABLE' });
  await assert.rejects(read(), { code: 'AUTHORIZATION_SERVER_UNAVAILABLE' });
  assert.equal(claims(), 1);
});
