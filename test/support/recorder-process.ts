// A recorder in a process of its own, for the test that kills it. Writes a line for each record that it was answered for
// and for each group that it wrote.
import { createDatabase } from '../../broker/store/database.ts';
import { createStore } from '../../broker/store/store.ts';
import { startRecorder } from './recorder.ts';
import { aRecord } from './store-fixtures.ts';

const [url = '', directory = '', task = ''] = process.argv.slice(2);
const say = (line: string) => void process.stdout.write(`${line}\n`);
const store = createStore({ database: createDatabase({ url, applicationName: 'recorder' }) });
const recorder = await startRecorder({ store, directory, onGroup: (to) => say(`group ${to}`) });

if (task === 'append') {
  for (let n = 0; ; n += 1) {
    const requestId = `req-${process.pid}-${n}`;
    await recorder.append(aRecord('token.release', { requestId, facts: { n } }));
    say(`answered ${requestId}`);
  }
} else {
  recorder.start();
  // Stays until it is killed.
  setInterval(() => recorder.spool.isEmpty() && say('empty'), 20);
}
