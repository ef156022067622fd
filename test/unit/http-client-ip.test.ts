import assert from 'node:assert/strict';
import type { IncomingHttpHeaders } from 'node:http';
import { test } from 'node:test';
import { createClientIp } from '../../broker/http/client-ip.ts';

const clientIp = createClientIp(['10.0.0.0/8', '2001:db8:aaaa::/48', '192.0.2.7']);
const gateway = '10.0.0.1';

const cases: readonly [name: string, peer: string | undefined, headers: IncomingHttpHeaders, ip: string | undefined][] =
  [
    ['without headers the peer is the client', '203.0.113.9', {}, '203.0.113.9'],
    ['an IPv4 peer on an IPv6 socket is shown as IPv4', '::ffff:203.0.113.9', {}, '203.0.113.9'],
    ['a connection that is gone has no address', undefined, { 'x-forwarded-for': '1.2.3.4' }, undefined],
    ['X-Forwarded-For of a stranger is not believed', '203.0.113.9', { 'x-forwarded-for': '1.2.3.4' }, '203.0.113.9'],
    ['Forwarded of a stranger is not believed', '203.0.113.9', { forwarded: 'for=1.2.3.4' }, '203.0.113.9'],
    ['a proxy that adds no header is all that is known', gateway, {}, gateway],
    ['X-Forwarded-For of a proxy is believed', gateway, { 'x-forwarded-for': '203.0.113.9' }, '203.0.113.9'],
    ['Forwarded of a proxy is believed', gateway, { forwarded: 'for=203.0.113.9;proto=https' }, '203.0.113.9'],
    ['a proxy is known through an IPv6 socket', '::ffff:10.0.0.1', { 'x-forwarded-for': '203.0.113.9' }, '203.0.113.9'],
    ['an IPv6 proxy is known by its network', '2001:db8:aaaa::1', { 'x-forwarded-for': '2001:db8::5' }, '2001:db8::5'],
    ['a single address is a network, too', '192.0.2.7', { 'x-forwarded-for': '203.0.113.9' }, '203.0.113.9'],
    [
      'what the client wrote itself stays left of the truth',
      gateway,
      { 'x-forwarded-for': '1.2.3.4, 203.0.113.9' },
      '203.0.113.9',
    ],
    [
      'a client cannot pose as one of our proxies',
      gateway,
      { 'x-forwarded-for': '10.9.9.9, 203.0.113.9' },
      '203.0.113.9',
    ],
    ['a chain of proxies is walked', gateway, { 'x-forwarded-for': '1.2.3.4, 203.0.113.9, 10.0.0.2' }, '203.0.113.9'],
    ['where all are proxies the first is the client', gateway, { 'x-forwarded-for': '10.0.0.3, 10.0.0.2' }, '10.0.0.3'],
    [
      'Forwarded is walked the same way',
      gateway,
      { forwarded: 'for=1.2.3.4, for=203.0.113.9, for=10.0.0.2' },
      '203.0.113.9',
    ],
    ['a port is left out', gateway, { 'x-forwarded-for': '203.0.113.9:4711' }, '203.0.113.9'],
    ['IPv6 with port', gateway, { forwarded: 'for="[2001:DB8::17]:4711"' }, '2001:db8::17'],
    ['IPv6 in X-Forwarded-For', gateway, { 'x-forwarded-for': '2001:db8::17' }, '2001:db8::17'],
    ['names of parameters know no case', gateway, { forwarded: 'For="203.0.113.9"; By=10.0.0.1' }, '203.0.113.9'],
    [
      'separators within quotes separate nothing',
      gateway,
      { forwarded: 'for=203.0.113.9;host="a,b;for=1.2.3.4"' },
      '203.0.113.9',
    ],
    ['unknown is not known', gateway, { forwarded: 'for=unknown' }, undefined],
    ['a hidden name is not an address', gateway, { forwarded: 'for=_gazonk' }, undefined],
    ['what is left of a hidden hop is not believed', gateway, { forwarded: 'for=1.2.3.4, for=_hidden' }, undefined],
    [
      'an element without for is a hop that is not known',
      gateway,
      { forwarded: 'for=1.2.3.4, proto=https' },
      undefined,
    ],
    ['rubbish is not known', gateway, { 'x-forwarded-for': '203.0.113.9, <script>' }, undefined],
    ['an empty header is not known', gateway, { 'x-forwarded-for': '' }, undefined],
    ['an unbalanced quote is not known', gateway, { forwarded: 'for="203.0.113.9' }, undefined],
    [
      'two headers that agree are believed',
      gateway,
      { 'x-forwarded-for': '203.0.113.9', forwarded: 'for=203.0.113.9' },
      '203.0.113.9',
    ],
    [
      'of two headers that disagree neither is believed',
      gateway,
      { 'x-forwarded-for': '203.0.113.9', forwarded: 'for=1.2.3.4' },
      undefined,
    ],
  ];

for (const [name, peer, headers, ip] of cases) {
  test(`client IP: ${name}`, () => assert.equal(clientIp(peer, headers), ip));
}

test('client IP: without configured proxies nobody is believed, loopback neither', () => {
  assert.equal(createClientIp([])('127.0.0.1', { 'x-forwarded-for': '1.2.3.4' }), '127.0.0.1');
});
