/** Where a notification may go: looked at for the address that is connected to, over TLS, and nowhere that an answer says. */
import assert from 'node:assert/strict';
import type { LookupAddress } from 'node:dns';
import type { LookupFunction } from 'node:net';
import { type TestContext, test } from 'node:test';
import { Secret } from '../../broker/domain/secret.ts';
import { mayConnectTo } from '../../broker/webhook/public-addresses.ts';
import { createAuthority } from '../support/certificates.ts';
import { signingSecret, useReceiver } from '../support/notifier.ts';
import { signersOf, useWebhookReceiver } from '../support/webhook-receiver.ts';

const outgoing = {
  id: 'nt_1',
  body: new Secret('{"specversion":"1.0"}'),
  at: new Date('2026-03-01T12:00:00.900Z'),
  secrets: [new Secret(signingSecret)],
};

/** A name server that answers what it is told, one answer after the other, and then the last one for ever. */
function nameServer(...answers: readonly (readonly LookupAddress[])[]): LookupFunction {
  let asked = 0;
  return (_name, _options, callback) => {
    const answer = answers[Math.min(asked, answers.length - 1)] ?? [];
    asked += 1;
    callback(null, [...answer]);
  };
}

const here = { address: '127.0.0.1', family: 4 };

/** A receiver on this machine that is called by a name which leads to what the name server says. */
async function useNamed(t: TestContext, lookup: LookupFunction, allowedNetworks: readonly string[] = []) {
  const webhook = await useWebhookReceiver(t);
  return { webhook, receiver: useReceiver(t, webhook, { lookup, allowedNetworks }) };
}

test('a message goes to an address that is allowed, signed with each secret', async (t) => {
  const { webhook, receiver } = await useNamed(t, nameServer([here]), ['127.0.0.0/8']);
  const former = `whsec_${Buffer.alloc(24, 9).toString('base64')}`;
  const secrets = [...outgoing.secrets, new Secret(former)];
  assert.equal(await receiver.send({ ...outgoing, secrets }), undefined);
  const [message] = webhook.received;
  assert.ok(message);
  const other = `whsec_${Buffer.alloc(24, 8).toString('base64')}`;
  assert.deepEqual(signersOf(message, [other, former, signingSecret]), [former, signingSecret]);
  assert.equal(message.headers['webhook-timestamp'], '1772366400');
  assert.deepEqual(signersOf({ ...message, id: 'nt_2' }, [former, signingSecret]), []);
  assert.deepEqual(signersOf({ ...message, body: '{}' }, [former, signingSecret]), []);
});

test('an answer that is none (101) ends the try as well', async (t) => {
  const { webhook, receiver } = await useNamed(t, nameServer([here]), ['127.0.0.0/8']);
  webhook.answerWith(({ socket }) => {
    socket?.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: other\r\n\r\n');
  });
  assert.deepEqual(await receiver.send(outgoing), { problem: 'unreachable' });
});

for (const address of [
  { address: '127.0.0.1', family: 4 },
  { address: '10.1.2.3', family: 4 },
  { address: '172.16.0.1', family: 4 },
  { address: '192.168.1.1', family: 4 },
  { address: '169.254.169.254', family: 4 },
  { address: '100.64.0.1', family: 4 },
  { address: '0.0.0.0', family: 4 },
  { address: '224.0.0.1', family: 4 },
  { address: '255.255.255.255', family: 4 },
  { address: '::1', family: 6 },
  { address: '::', family: 6 },
  { address: 'fd00::1', family: 6 },
  { address: 'fe80::1', family: 6 },
  { address: 'ff02::1', family: 6 },
  { address: '::ffff:127.0.0.1', family: 6 },
  { address: '::ffff:7f00:1', family: 6 },
  { address: '64:ff9b::7f00:1', family: 6 },
  { address: '2002:7f00:1::', family: 6 },
  { address: '2001:db8::1', family: 6 },
]) {
  test(`a name that leads to ${address.address} is refused`, async (t) => {
    const { webhook, receiver } = await useNamed(t, nameServer([address]));
    assert.deepEqual(await receiver.send(outgoing), { problem: 'address_refused' });
    assert.deepEqual(webhook.received, []);
  });
}

test('public addresses may be connected to, and no other without being named', () => {
  const mayConnect = mayConnectTo(['10.20.0.0/16', 'fd12::/16', '192.168.7.7']);
  for (const address of [
    '8.8.8.8',
    '172.32.0.1',
    '2a00:1450::1',
    '10.20.3.4',
    'fd12::9',
    '192.168.7.7',
    '::ffff:10.20.3.4',
  ]) {
    assert.equal(mayConnect(address), true, address);
  }
  for (const address of ['10.21.0.1', '192.168.7.8', 'fd13::9', '::ffff:8.8.8.8', 'localhost', '']) {
    assert.equal(mayConnect(address), false, address);
  }
});

test('a name that leads to a public address first and to this machine then is refused when it does', async (t) => {
  const webhook = await useWebhookReceiver(t);
  // The first answer has a network that is allowed, as a public address would be.
  const lookup = nameServer([{ address: '127.0.0.2', family: 4 }], [here]);
  const receiver = useReceiver(t, webhook, { lookup, allowedNetworks: ['127.0.0.2'] });
  assert.deepEqual(await receiver.send(outgoing), { problem: 'unreachable' });
  assert.deepEqual(await receiver.send(outgoing), { problem: 'address_refused' });
  assert.deepEqual(webhook.received, []);
});

test('of several addresses only those that are allowed are tried', async (t) => {
  const { webhook, receiver } = await useNamed(t, nameServer([{ address: '::1', family: 6 }, here]), ['127.0.0.0/8']);
  assert.equal(await receiver.send(outgoing), undefined);
  assert.equal(webhook.received.length, 1);
});

test('an address in the URL itself is looked at, too, however it is written', async (t) => {
  const webhook = await useWebhookReceiver(t);
  const { port } = new URL(webhook.url);
  for (const host of ['127.0.0.1', '2130706433', '0x7f.1', '[::1]', '[::ffff:127.0.0.1]']) {
    const receiver = useReceiver(t, { ...webhook, url: `https://${host}:${port}/` }, { allowedNetworks: [] });
    assert.deepEqual(await receiver.send(outgoing), { problem: 'address_refused' }, host);
  }
  assert.deepEqual(webhook.received, []);
});

test('a receiver whose certificate nobody vouches for hears nothing', async (t) => {
  const webhook = await useWebhookReceiver(t);
  const other = await createAuthority();
  const receiver = useReceiver(t, { ...webhook, caPem: other.certificatePem });
  assert.deepEqual(await receiver.send(outgoing), { problem: 'tls' });
  assert.deepEqual(webhook.received, []);
});

test('a redirect is not followed', async (t) => {
  const webhook = await useWebhookReceiver(t);
  webhook.answerWith((response) => response.writeHead(307, { location: webhook.url }).end());
  assert.deepEqual(await useReceiver(t, webhook).send(outgoing), { problem: 'redirect', status: 307 });
  assert.equal(webhook.received.length, 1);
});

test('a receiver that never answers costs the deadline and no more', async (t) => {
  const webhook = await useWebhookReceiver(t);
  webhook.answerWith(() => {});
  const receiver = useReceiver(t, webhook, { deadlineMs: 200 });
  assert.deepEqual(await receiver.send(outgoing), { problem: 'timed_out' });
});

test('of an answer without end next to nothing is read', async (t) => {
  const webhook = await useWebhookReceiver(t);
  const closed = Promise.withResolvers<void>();
  webhook.answerWith((response) => {
    response.on('close', closed.resolve);
    response.writeHead(200);
    const more = () => {
      while (response.write('x'.repeat(65_536))) {}
    };
    response.on('drain', more);
    more();
  });
  // So far away that it ends nothing here.
  const receiver = useReceiver(t, webhook, { deadlineMs: 600_000 });
  assert.equal(await receiver.send(outgoing), undefined);
  await closed.promise;
});

test('a receiver that is not there, and a name that nobody has, are told apart', async (t) => {
  const webhook = await useWebhookReceiver(t);
  const receiver = useReceiver(t, { ...webhook, url: 'https://localhost:1/' });
  assert.deepEqual(await receiver.send(outgoing), { problem: 'unreachable' });
  const unknown: LookupFunction = (_name, _options, callback) =>
    callback(Object.assign(new Error('no such name'), { code: 'ENOTFOUND' }), []);
  assert.deepEqual(await useReceiver(t, webhook, { lookup: unknown }).send(outgoing), { problem: 'name_not_found' });
});
