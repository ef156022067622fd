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
  // Where there is a PostgreSQL, it answers, however busy the machine.
  patienceMs: 30_000,
  onGroup: (to) => say(`group ${to}`),
});

if (task === 'append') {
  for (let n = 0; ; n += 1) {
    const requestId = `req-${process.pid}-${n}`;
    await recorder.append(aRecord('token.release', { requestId, facts: { n } }));
    say(`answered ${requestId}`);
  }
} else if (task === 'fill') {
  // Three at a time, which are one group: a disk may take some of its lines and not the others.
  for (let refusals = 0, n = 0; refusals < 5; n += 1) {
    const ids = ['a', 'b', 'c'].map((part) => `req-${process.pid}-${n}-${part}`);
    const outcomes = await Promise.allSettled(
      ids.map((requestId) => recorder.append(aRecord('token.release', { requestId, facts: { n } }))),
    );
    if (outcomes.some(({ status }) => status === 'rejected')) refusals += 1;
    for (const [place, outcome] of outcomes.entries()) {
      say(`${outcome.status === 'fulfilled' ? 'answered' : outcome.reason.code} ${ids[place]}`);
    }
  }
  await recorder.stop();
  await database.close();
} else {
  recorder.start();
  // Stays until it is killed.
  setInterval(() => recorder.spool.isEmpty() && say('empty'), 20);
}
