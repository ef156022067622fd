/** Clients that are slow, wrong or mean no good: each is refused for what it is, and a good one is served all the while. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type ClientHttp2Session, type ClientHttp2Stream, constants } from 'node:http2';
import { connect as connectTcp, type Socket } from 'node:net';
import { after, describe, type TestContext, test } from 'node:test';
import type { ConnectionOptions } from 'node:tls';
import { createAuthority, goodSvid, type TestCertificate } from '../support/certificates.ts';
import { useGrpcServer, workloadId } from '../support/grpc-server.ts';
import { until } from '../support/poll.ts';
import { atEnd, type Scope } from '../support/scope.ts';

const hour = 3_600_000;
const method = '/token_broker.v1.TokenBroker/GetAccessToken';

/** A TCP connection by hand. Its errors are not thrown. */
function useTcp(scope: Scope, port: number): Socket {
  const socket = connectTcp(port, '127.0.0.1');
  socket.on('error', () => {});
  atEnd(scope, () => socket.destroy());
  return socket;
}

/** A good client is served: at the latest when the machine has the time for it, for deadlines here are short. */
const served = (client: { call(): Promise<unknown> }) =>
  until(
    'a good client is served',
    () =>
      client.call().then(
        () => true,
        () => false,
      ),
    60_000,
  );

/** Opens a call of GetAccessToken; nothing of it is read unless the test does. */
function open(session: ClientHttp2Session): ClientHttp2Stream {
  const stream = session.request(
    { ':method': 'POST', ':path': method, 'content-type': 'application/grpc', te: 'trailers' },
    { endStream: false },
  );
  stream.on('error', () => {});
  return stream;
}

/** Its errors are of no interest: only that it ends. */
const closed = (socket: Socket) =>
  new Promise<void>((resolve) => (socket.closed ? resolve() : socket.once('close', () => resolve())));

describe('at the door', async () => {
  const server = await useGrpcServer({ after });
  const { authority, refused } = server;
  const good = await server.certificate();
  const stranger = await createAuthority({ subject: 'CN=Stranger' });
  const namesake = await createAuthority();
  const client = server.client(good);

  const wrong: Readonly<Record<string, [TestCertificate | undefined, ConnectionOptions, string]>> = {
    'without a certificate': [undefined, {}, 'no_certificate'],
    'signed by another authority': [await stranger.issue(goodSvid(workloadId)), {}, 'untrusted_certificate'],
    'signed by an authority of the same name': [
      await namesake.issue(goodSvid(workloadId)),
      {},
      'untrusted_certificate',
    ],
    'signed by itself': [await createAuthority(goodSvid(workloadId)), {}, 'untrusted_certificate'],
    'that has expired': [
      await server.certificate({ notBefore: new Date(Date.now() - 2 * hour), notAfter: new Date(Date.now() - hour) }),
      {},
      'expired_certificate',
    ],
    'that is not valid yet': [
      await server.certificate({ notBefore: new Date(Date.now() + hour), notAfter: new Date(Date.now() + 2 * hour) }),
      {},
      'not_yet_valid_certificate',
    ],
    'that may sign others': [await server.certificate({ isAuthority: true }), {}, 'untrusted_certificate'],
    'with TLS 1.2': [good, { maxVersion: 'TLSv1.2' }, 'old_tls'],
    'that wants HTTP/1.1': [good, { ALPNProtocols: ['http/1.1'] }, 'not_http2'],
    'that says nothing of HTTP/2': [good, { ALPNProtocols: undefined } as ConnectionOptions, 'not_http2'],
  };
  for (const [who, [certificate, options, why]] of Object.entries(wrong)) {
    test(`a client ${who} is not let in, and counted as ${why}`, async () => {
      const before = refused.length;
      await closed(server.tls(certificate, options).resume());
      await until('it is counted', () => refused.length > before);
      assert.deepEqual(refused.slice(before), [why]);
      await served(client);
    });
  }

  test('a client that speaks no TLS is not let in', async (t) => {
    const before = refused.length;
    for (const words of [
      'GET / HTTP/1.1\r\nHost: broker\r\n\r\n',
      'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
      '\0'.repeat(64),
    ]) {
      const socket = useTcp(t, server.port);
      socket.resume().write(words);
      await closed(socket);
    }
    await until('they are counted', () => refused.length === before + 3);
    assert.deepEqual(new Set(refused.slice(before)), new Set(['not_tls']));
    await served(client);
  });

  const noSvid: Readonly<Record<string, [Promise<TestCertificate>, RegExp]>> = {
    'with two SPIFFE IDs': [server.certificate({ uris: [workloadId, `${workloadId}2`] }), /2 names of the type uri/],
    'without one': [server.certificate({ uris: [], subject: 'CN=uploads' }), /0 names of the type uri/],
    'of another trust domain': [server.certificate({}, 'spiffe://elsewhere.example/workload/uploads'), /another trust/],
    'of a trust domain below ours': [
      server.certificate({}, 'spiffe://a.media.example/workload/uploads'),
      /another trust/,
    ],
    'whose name is no SPIFFE ID': [server.certificate({ uris: ['https://media.example/uploads'] }), /spiffe id/],
  };
  for (const [who, [certificate, why]] of Object.entries(noSvid)) {
    test(`a client with a certificate ${who} is refused on each call, and put on record`, async () => {
      const bad = server.client(await certificate);
      for (const nth of [1, 2]) {
        await assert.rejects(bad.call(), { code: 'UNAUTHENTICATED' });
        assert.match(server.denied.at(-1) ?? '', why, `call ${nth}`);
      }
      await served(client);
    });
  }

  test('nothing is negotiated anew on an open connection, and it stays as it was', async (t) => {
    const socket = server.tls(good);
    t.after(() => socket.destroy());
    await once(socket, 'secureConnect');
    assert.equal(socket.getProtocol(), 'TLSv1.3');
    const renegotiated = Promise.try(() => new Promise((done) => socket.renegotiate({}, done)));
    const error = await renegotiated.catch((thrown: unknown) => thrown);
    assert.match(String((error as { code?: string }).code), /WRONG_SSL_VERSION/);
    await served(client);
  });

  test('a certificate that is shut out is refused on the open connection, and the health service is closed to it, too', async () => {
    const mine = await server.certificate({}, 'spiffe://media.example/workload/other');
    const shut = server.client(mine);
    await shut.call();
    server.shutOut.shutOut('spiffe://media.example/workload/other', 'WORKLOAD_DENIED');
    await assert.rejects(shut.call(), { code: 'WORKLOAD_DENIED' });
    const health = server.http2(mine).request({
      ':method': 'POST',
      ':path': '/grpc.health.v1.Health/Check',
      'content-type': 'application/grpc',
      te: 'trailers',
    });
    health.end(Buffer.alloc(5));
    const [headers] = (await once(health, 'response')) as [Record<string, unknown>];
    assert.equal(headers['grpc-status'], '7');
    assert.equal(headers['broker-error-code'], 'WORKLOAD_DENIED');
    assert.equal(authority.certificatePem.length > 0, true);
    await served(client);
  });
});

test('a call that waits for its token gets none when its workload is shut out meanwhile', async (t) => {
  const server = await useGrpcServer(t);
  const client = server.client(await server.certificate());
  await client.call();
  const goOn = server.hold();
  const waiting = client.call();
  await until('it waits', () => server.calls() === 2);
  server.shutOut.shutOut(workloadId, 'WORKLOAD_DENIED');
  goOn();
  await assert.rejects(waiting, { code: 'WORKLOAD_DENIED' });
});

test('whoever does not come to the end of the handshake in time is cut off', async (t) => {
  const server = await useGrpcServer(t, { handshakeMs: 300 });
  const silent = useTcp(t, server.port);
  const half = useTcp(t, server.port);
  // The beginning of a TLS record with a ClientHello of 512 bytes, and no more.
  half.write(Buffer.from([0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3]));
  await served(server.client(await server.certificate()));
  await Promise.all([closed(silent.resume()), closed(half.resume())]);
  const slow = server.refused.filter((why) => why === 'too_slow');
  assert.ok(slow.length >= 2, `refused: ${server.refused.join(', ')}`);
});

test('connections that do not prove themselves make room for those that do, however many there are', async (t) => {
  const server = await useGrpcServer(t, { unproven: 20, unprovenOfAddress: 8 });
  const idle = Array.from({ length: 200 }, () => useTcp(t, server.port));
  await until('they are there', () => server.refused.length === 192, 60_000);
  assert.equal(server.connections().unproven, 8);
  await served(server.client(await server.certificate()));
  assert.deepEqual(new Set(server.refused), new Set(['crowded_out']));
  for (const socket of idle) socket.destroy();
  await until('their places are free', () => server.connections().unproven === 0);
});

test('a workload has so many connections and no more; others, and it after one has ended, get in', async (t) => {
  const server = await useGrpcServer(t, { provenOfWorkload: 2, proven: 3 });
  const mine = await server.certificate();
  const sessions = [server.http2(mine), server.http2(mine)];
  await until('they are there', () => server.connections().proven === 2);
  await closed(server.tls(mine).resume());
  assert.deepEqual(server.refused, ['too_many']);
  const other = await server.certificate({}, 'spiffe://media.example/workload/other');
  await server.client(other).call();

  const third = await server.certificate({}, 'spiffe://media.example/workload/third');
  await closed(server.tls(third).resume());
  assert.deepEqual(server.refused, ['too_many', 'too_many'], 'there are as many as there may be');
  sessions[0]?.close();
  await until('there is a place', () => server.connections().proven === 2);
  await server.client(mine).call();
});

describe('on a connection', () => {
  /** A connection of a client that misbehaves, and another of one that does not. */
  async function useBoth(t: TestContext, limits = {}) {
    const server = await useGrpcServer(t, limits);
    const certificate = await server.certificate();
    const good = server.client(await server.certificate({}, 'spiffe://media.example/workload/other'));
    await served(good);
    return { server, certificate, good };
  }

  test('a frame larger than was agreed ends it', async (t) => {
    const { server, certificate, good } = await useBoth(t);
    const socket = server.tls(certificate);
    await once(socket, 'secureConnect');
    socket.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
    socket.write(Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]));
    // DATA of 1 MiB on stream 1.
    socket.write(Buffer.concat([Buffer.from([0x10, 0, 0, 0, 0, 0, 0, 0, 1]), Buffer.alloc(2 ** 20)]));
    await closed(socket.resume());
    await served(good);
  });

  test('a message larger than 64 KiB is refused without being read, and the connection goes on', async (t) => {
    const { server, certificate, good } = await useBoth(t);
    const session = server.http2(certificate);
    const stream = open(session);
    const header = Buffer.alloc(5);
    header.writeUInt32BE(2 ** 30, 1);
    stream.write(header);
    const [headers] = (await once(stream, 'response')) as [Record<string, unknown>];
    const trailers = headers['grpc-status']
      ? headers
      : ((await once(stream.resume(), 'trailers'))[0] as typeof headers);
    assert.equal(trailers['grpc-status'], '8');
    assert.equal(session.destroyed, false);
    await served(good);
  });

  test('a call whose request does not come is ended, and there are so many at a time', async (t) => {
    const { server, certificate, good } = await useBoth(t, { requestMs: 1_000 });
    const session = server.http2(certificate);
    await once(session, 'remoteSettings');
    assert.equal(session.remoteSettings.maxConcurrentStreams, 128);
    const streams = Array.from({ length: 128 }, () => open(session));
    await served(good);
    const ends = streams.map(async (stream) => {
      const [headers] = (await once(stream, 'response')) as [Record<string, unknown>];
      return headers['grpc-status'];
    });
    assert.deepEqual(new Set(await Promise.all(ends)), new Set(['4']));
    await served(good);
  });

  test('streams that are opened and reset in a flood end the connection', async (t) => {
    const { server, certificate, good } = await useBoth(t);
    const session = server.http2(certificate);
    await once(session, 'remoteSettings');
    let opened = 0;
    const flood = () => {
      for (let n = 0; n < 100 && !session.destroyed && !session.closed; n += 1, opened += 1) {
        open(session).close(constants.NGHTTP2_CANCEL);
      }
    };
    await until('it is ended', () => {
      flood();
      return session.destroyed || session.closed;
    });
    assert.ok(opened < 20_000, `it took ${opened}`);
    await served(good);
  });

  test('who does not answer a ping is gone, and pings without end hinder nobody', async (t) => {
    const { server, certificate, good } = await useBoth(t, { keepaliveMs: 200 });
    const session = server.http2(certificate);
    await once(session, 'remoteSettings');
    const payload = Buffer.alloc(8);
    for (let n = 0; n < 5_000 && !session.destroyed; n += 1) session.ping(payload, () => {});
    await served(good);

    const silent = server.tls(certificate);
    await once(silent, 'secureConnect');
    silent.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
    silent.write(Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]));
    await closed(silent.resume());
    await served(good);
  });
});
