import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { fromTimestamp, loadTokenBroker, toTimestamp } from '../../proto/load.ts';

const proto = await readFile(new URL('../../proto/token_broker/v1/token_broker.proto', import.meta.url), 'utf8');
const types = await readFile(new URL('../../proto/load.ts', import.meta.url), 'utf8');

const typeScriptType: Readonly<Record<string, string>> = {
  string: 'string',
  uint32: 'number',
  uint64: 'number',
  'google.protobuf.Timestamp': 'Timestamp | null',
};

/** `{ channelId: 'string', … }` of each message, as the types should say it. */
function messagesOfProto(): Record<string, Record<string, string>> {
  const bare = proto.replace(/\/\/.*$/gm, '').replace(/enum \w+ \{[^}]*\}/g, '');
  return Object.fromEntries(
    [...bare.matchAll(/message (\w+) \{([^}]*)\}/g)].map(([, name, body]) => [
      name,
      Object.fromEntries(
        [...String(body).matchAll(/(repeated )?([\w.]+) (\w+) = \d+;/g)].map(([, repeated, type, field]) => {
          const inner = typeScriptType[String(type)] ?? String(type);
          return [camelCase(String(field)), repeated ? `readonly ${inner}[]` : inner];
        }),
      ),
    ]),
  );
}

function messagesOfTypes(): Record<string, Record<string, string>> {
  return Object.fromEntries(
    [...types.matchAll(/export interface (\w+) \{([^}]*)\}/g)]
      .filter(([, name]) => name !== 'Timestamp')
      .map(([, name, body]) => [
        name,
        Object.fromEntries(
          [...String(body).matchAll(/readonly (\w+): ([^;]+);/g)].map(([, field, type]) => [field, type]),
        ),
      ]),
  );
}

function camelCase(field: string): string {
  return field.replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase());
}

test('has a type for every message of the proto, with the same fields', () => {
  const messages = messagesOfProto();
  assert.ok(Object.keys(messages).length >= 5);
  assert.deepEqual(messagesOfTypes(), messages);
});

test('names every value of the enumeration', () => {
  const values = [...(/enum Availability \{([^}]*)\}/.exec(proto)?.[1] ?? '').matchAll(/^\s*(\w+) = \d+;/gm)];
  const names = [...(/type Availability = ([^;]+);/.exec(types)?.[1] ?? '').matchAll(/'(\w+)'/g)];
  assert.deepEqual(
    names.map(([, name]) => name),
    values.map(([, name]) => name),
  );
});

test('has every method of the service', () => {
  const methods = [...proto.matchAll(/rpc (\w+)\(/g)].map(([, name]) => name);
  assert.deepEqual(Object.keys(loadTokenBroker()), methods);
});

test('brings a response over the wire unchanged', () => {
  const { GetAccessToken } = loadTokenBroker();
  const response = {
    channelId: 'ch_1',
    accessToken: 'token',
    expiresAt: toTimestamp(new Date('2026-06-01T12:00:00.250Z')),
    scopes: ['a', 'b'],
    youtubeChannelId: 'UC1',
    generation: 2,
  };
  const received = GetAccessToken.responseDeserialize(GetAccessToken.responseSerialize(response));
  assert.deepEqual(JSON.parse(JSON.stringify(received)), response);
  assert.deepEqual(received.expiresAt && fromTimestamp(received.expiresAt), new Date('2026-06-01T12:00:00.250Z'));
});

test('reads fields that were not sent as their zero', () => {
  const { GetAccessToken, Subscribe } = loadTokenBroker();
  const request = GetAccessToken.requestDeserialize(GetAccessToken.requestSerialize({ channelId: 'ch_1' }));
  assert.deepEqual(
    { ...request },
    { channelId: 'ch_1', minTtlSeconds: 0, scopes: [], reason: '', rejectedTokenSha256: '' },
  );
  assert.equal(GetAccessToken.responseDeserialize(Buffer.alloc(0)).expiresAt, null);
  const update = {
    channels: [
      { channelId: 'ch_1', availability: 'DENIED' as const, code: 'ACCESS_DENIED', generation: 3, message: 'no' },
    ],
  };
  const received = Subscribe.responseDeserialize(Subscribe.responseSerialize(update));
  assert.deepEqual(JSON.parse(JSON.stringify(received)), update);
});
