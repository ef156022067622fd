/** The delivery of notifications as a process of its own, to be killed: everything that is due, once. */
import { readFileSync } from 'node:fs';
import { createDatabase } from '../../broker/store/database.ts';
import { createStore } from '../../broker/store/store.ts';
import { createNotificationReceiver } from '../../broker/webhook/receiver.ts';
import { createNotifier } from './notifier.ts';

const { DATABASE_URL = '', WEBHOOK_URL = '', WEBHOOK_CA = '', NOW = '' } = process.env;
const database = createDatabase({ url: DATABASE_URL, applicationName: 'notifier' });
const notifier = createNotifier({
  store: createStore({ database }),
  clock: { now: () => new Date(NOW) },
  receiver: createNotificationReceiver({
    url: WEBHOOK_URL,
    allowedNetworks: ['127.0.0.0/8'],
    caCertPem: readFileSync(WEBHOOK_CA, 'utf8'),
    deadlineMs: 30_000,
    concurrency: 1,
    version: 'test',
  }),
});
await notifier.runOnce();
