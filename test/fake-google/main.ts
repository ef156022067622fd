/**
 * Runs the practice Google as a process of its own: `node test/fake-google/main.ts [--port 9000] [--issuer URL]`.
 * Prints one line of JSON, `{"url":…,"endpoints":{…}}`, when it listens; stops on SIGTERM or SIGINT.
 */
import process from 'node:process';
import { parseArgs } from 'node:util';
import { startPracticeGoogle } from './server.ts';

const { values } = parseArgs({ options: { port: { type: 'string' }, issuer: { type: 'string' } } });
const google = await startPracticeGoogle({
  port: Number(values.port ?? 0),
  ...(values.issuer === undefined ? {} : { issuer: values.issuer }),
});
process.stdout.write(`${JSON.stringify({ url: google.url, endpoints: google.endpoints })}\n`);

for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => void google.close());
