import assert from 'node:assert/strict';
import { test } from 'node:test';
import { loopbackHosts, refusalOf } from '../../sidecar/endpoints/local-request.ts';

const rules = { hosts: loopbackHosts('127.0.0.1', 7070), header: ['x-sidecar-request', 'true'] } as const;
const good = { host: '127.0.0.1:7070', 'x-sidecar-request': 'true' };
const request = (headers: Record<string, string>, method = 'GET', url = '/v1/channels/ch_1/token') => ({
  method,
  url,
  headers,
});

const accepted: readonly [why: string, request: ReturnType<typeof request>][] = [
  ['from curl', request({ ...good, 'user-agent': 'curl/8.5', accept: '*/*' })],
  ['with HEAD', request(good, 'HEAD')],
  ['to localhost', request({ ...good, host: 'localhost:7070' })],
  ['to LOCALHOST', request({ ...good, host: 'LOCALHOST:7070' })],
  ['to [::1]', request({ ...good, host: '[::1]:7070' })],
  ['from the fetch of Node, which sends one header of browsers alone', request({ ...good, 'sec-fetch-mode': 'cors' })],
  ['that says it has no body', request({ ...good, 'content-length': '0' })],
];

for (const [why, given] of accepted)
  test(`accepts a request ${why}`, () => {
    assert.equal(refusalOf(given, rules), undefined);
  });

const refused: readonly [why: string, request: ReturnType<typeof request>, code: string][] = [
  ['without the required header', request({ host: good.host }), 'HEADER_REQUIRED'],
  ['with another value in it', request({ ...good, 'x-sidecar-request': 'True' }), 'HEADER_REQUIRED'],
  ['with the value twice', request({ ...good, 'x-sidecar-request': 'true, true' }), 'HEADER_REQUIRED'],
  ['to a name that DNS pointed here', request({ ...good, host: 'evil.example:7070' }), 'HOST_REFUSED'],
  ['to a name that DNS pointed here, on the usual port', request({ ...good, host: 'evil.example' }), 'HOST_REFUSED'],
  [
    'to a name that begins like a loopback address',
    request({ ...good, host: '127.0.0.1.evil.example:7070' }),
    'HOST_REFUSED',
  ],
  ['to localhost with a dot at the end', request({ ...good, host: 'localhost.:7070' }), 'HOST_REFUSED'],
  ['to another port', request({ ...good, host: '127.0.0.1:7071' }), 'HOST_REFUSED'],
  ['without a port', request({ ...good, host: '127.0.0.1' }), 'HOST_REFUSED'],
  ['to a loopback address written as a number', request({ ...good, host: '2130706433:7070' }), 'HOST_REFUSED'],
  ['to the unspecified address', request({ ...good, host: '0.0.0.0:7070' }), 'HOST_REFUSED'],
  ['without a host', request({ 'x-sidecar-request': 'true' }), 'HOST_REFUSED'],
  ['from a web page', request({ ...good, origin: 'https://evil.example' }), 'BROWSER_REFUSED'],
  ['from a page without origin', request({ ...good, origin: 'null' }), 'BROWSER_REFUSED'],
  ['from a browser', request({ ...good, 'sec-fetch-site': 'none', 'sec-fetch-mode': 'navigate' }), 'BROWSER_REFUSED'],
  ['for an image of a page', request({ ...good, 'sec-fetch-dest': 'image' }), 'BROWSER_REFUSED'],
  ['forwarded by a proxy', request({ ...good, 'x-forwarded-for': '10.0.0.1' }), 'FORWARDED_REFUSED'],
  ['forwarded with a host', request({ ...good, 'x-forwarded-host': 'a' }), 'FORWARDED_REFUSED'],
  ['forwarded as RFC 7239 says', request({ ...good, forwarded: 'for=10.0.0.1' }), 'FORWARDED_REFUSED'],
  ['that came via a proxy', request({ ...good, via: '1.1 proxy' }), 'FORWARDED_REFUSED'],
  ['as a proxy is asked', request(good, 'GET', 'http://127.0.0.1:7070/v1/channels/ch_1/token'), 'FORWARDED_REFUSED'],
  ['to open a tunnel', request(good, 'CONNECT', 'www.googleapis.com:443'), 'METHOD_NOT_ALLOWED'],
  ['with POST', request(good, 'POST'), 'METHOD_NOT_ALLOWED'],
  ['that asks for permission across origins', request(good, 'OPTIONS'), 'METHOD_NOT_ALLOWED'],
  ['with a body', request({ ...good, 'content-length': '1' }), 'BODY_REFUSED'],
  ['with a body in pieces', request({ ...good, 'transfer-encoding': 'chunked' }), 'BODY_REFUSED'],
];

for (const [why, given, code] of refused)
  test(`refuses a request ${why}`, () => {
    assert.equal(refusalOf(given, rules), code);
  });

test('needs no port in the name on port 80, and no header where none is required', () => {
  const hosts = loopbackHosts('127.0.0.2', 80);
  assert.equal(refusalOf(request({ host: '127.0.0.2' }), { hosts, header: undefined }), undefined);
  assert.equal(refusalOf(request({ host: 'localhost:80' }), { hosts, header: undefined }), undefined);
});
