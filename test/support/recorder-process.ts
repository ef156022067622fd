// A recorder in a process of its own, for the tests that kill it or fill its disk. Writes a line for each record that it
// was answered for and for each group that it wrote.
import { createDatabase } from '../../broker/store/database.ts';
import { createStore } from '../../broker/store/store.ts';
import { startRecorder } from './recorder.ts';
import { aRecord } from './store-fixtures.ts';

const [url = '', directory = '', task = ''] = process.argv.slice(2);
const say = (line: string) => void process.stdout.write(`${line}\n`);
const database = createDatabase({ url, applicationName: 'recorder' });
const recorder = await startRecorder({
  store: createStore({ database }),
  directory,
  onGroup: (to) => say(`group ${to}`),
});

if (task === 'append') {
  for (let n = 0; ; n += 1) {
    const requestId = `req-${process.pid}-${n}`;
    await recorder.append(aRecord('token.release', { requestId, facts: { n } }));
    say(`answered ${requestId}`);
  }
} else if (task === 'fill') {
  for (let refusals = 0, n = 0; refusals < 5; n += 1) {
    const requestId = `req-${process.pid}-${n}`;
    const outcome = await recorder.append(aRecord('token.release', { requestId, facts: { n } })).then(
      () => 'answered',
      (error: { code: string }) => error.code,
    );
    if (outcome !== 'answered') refusals += 1;
    say(`${outcome} ${requestId}`);
  }
  await recorder.stop();
  await database.close();
} else {
  recorder.start();
  // Stays until it is killed.
  setInterval(() => recorder.spool.isEmpty() && say('empty'), 20);
}
