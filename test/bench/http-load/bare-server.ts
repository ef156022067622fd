/** The least that `node:http` can do for an answer of so many bytes: no look at the request, bytes that are ready. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

const body = Buffer.alloc(Number(process.argv[2]), 'x');
const headers = [
  'Content-Type',
  'application/json',
  'Cache-Control',
  'no-store',
  'Content-Length',
  String(body.length),
];

const server = createServer((_request, response) => {
  response.writeHead(200, headers);
  response.end(body);
});
server.listen(0, '127.0.0.1', () => process.send?.((server.address() as AddressInfo).port));
process.on('disconnect', () => process.exit());
