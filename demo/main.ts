/** `npm start`: brings everything up, tells the story, stays up until Ctrl-C, and leaves nothing behind. */
import process from 'node:process';
import { logFolder } from './parts.ts';
import { DemoError, readSettings, requireFree, usage } from './settings.ts';
import { type Ending, tellStory } from './story.ts';
import { createTeller } from './teller.ts';

const teller = createTeller(process.stdout, (process.env.NO_COLOR ?? '') !== '');
const closers: (() => Promise<unknown>)[] = [];
const interrupted = new Promise<'interrupted'>((resolve) => {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => resolve('interrupted'));
});

try {
  const settings = readSettings(process.argv.slice(2), process.env);
  if (settings.help) process.stdout.write(`${usage}\n`);
  else await run(settings);
} catch (error) {
  fail(error);
} finally {
  await stopEverything();
}
// A story that was broken off may still wait for something that does not come any more.
process.exit();

async function run(settings: ReturnType<typeof readSettings>): Promise<void> {
  await requireFree(Object.values(settings.ports));
  const begun = performance.now();
  teller.heading('From an owner’s consent to a worker’s upload');
  const story = tellStory(teller, settings, { push: (close) => void closers.push(close) }, process.env);
  const ending = await Promise.race([story, interrupted]);
  if (ending === 'interrupted') {
    // It fails as its parts go; what it still starts is stopped with the rest.
    story.catch(() => undefined);
    return teller.heading('Stopping everything.');
  }
  teller.heading(`That was the whole way, in ${((performance.now() - begun) / 1000).toFixed(0)} s.`);
  if (settings.once) return;
  sayWhatNext(ending, settings.ports);
  await interrupted;
  teller.heading('Stopping everything.');
}

function sayWhatNext({ channel, secondConsentLink, adminEnvironment }: Ending, ports: { sidecar: number }): void {
  teller.heading('Everything stays up. Try:');
  teller.say('Read the token as a worker does:');
  teller.command(`curl -s -H 'X-Sidecar-Request: true' http://127.0.0.1:${ports.sidecar}/v1/channels/${channel}/token`);
  teller.say('Be the owner of the second channel, in your browser (the account is Sam’s; try leaving a box unticked):');
  teller.quote(secondConsentLink);
  teller.say('Be the admin, in another terminal in this folder:');
  for (const [name, value] of Object.entries(adminEnvironment)) teller.command(`export ${name}=${value}`);
  teller.command('npx broker channel list');
  teller.heading('Ctrl-C stops everything.');
}

function fail(error: unknown): void {
  process.exitCode = 1;
  if (error instanceof DemoError) {
    process.stderr.write(`\n${error.message}\n${error.advice}\n`);
    return;
  }
  const message = error instanceof Error ? error.message : String(error);
  process.stderr.write(`\nThat did not work: ${message}\nWhat each part wrote is in ${logFolder}\n`);
}

async function stopEverything(): Promise<void> {
  for (let close = closers.pop(); close; close = closers.pop()) {
    await close().catch((error: unknown) => {
      process.stderr.write(`A part did not stop well: ${error instanceof Error ? error.message : String(error)}\n`);
      process.exitCode = 1;
    });
  }
}
