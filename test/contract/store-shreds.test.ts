/** The shredding of a tenant in PostgreSQL: all of its channels in one transaction, however many there are. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sql } from 'kysely';
import { createStartedShreds } from '../../broker/store/started-shreds.ts';
import { useStore } from '../support/store.ts';
import {
  actsOn,
  anActiveChannel,
  aRecord,
  aShred,
  aShredStart,
  fill,
  minute,
  start,
} from '../support/store-fixtures.ts';

test('a tenant with more channels than one statement takes is ended and emptied as a whole', async (t) => {
  const { store, database } = await useStore(t);
  const ids = Array.from({ length: 5 }, (_, index) => `ch_${index}`);
  await fill(store, ...ids.map((id) => anActiveChannel({ id, name: id })));
  const shreds = createStartedShreds(database, { atOnce: 2 });
  await store.shreds.request(aShred(), aRecord('tenant.shred-request'));
  await shreds.start(aShredStart, aRecord('tenant.shred-start'), (channel) => aRecord('channel.state', { channel }));
  for (const { id, state } of await store.channels.list({ tenant: 'acme' })) {
    assert.equal(state, 'revoked', id);
    assert.deepEqual(await actsOn(store, id), ['channel.add', 'channel.state']);
  }
  const due = await shreds.dueRevocations('sh_1', minute(1), 10);
  assert.deepEqual(due.map(({ channel }) => channel.id).toSorted(), ids);

  await shreds.revocationsDone('sh_1', aRecord('tenant.shred-revoked'));
  const found = { channels: 5, ciphertexts: 5, opened: 0, ciphertextsDigest: '', controlHadOpened: true } as const;
  const verdict = { at: start.toISOString(), keyAbsent: true, controlRefused: true } as const;
  const proof = { ...found, ...verdict, revocations: await store.shreds.tally('sh_1') };
  await shreds.finish({ id: 'sh_1', tenant: 'acme' }, proof, minute(2), aRecord('tenant.shred'));
  const { rows } = await database.run((db) =>
    sql`select from channels where scrubbed_at is null or refresh_token_encrypted is not null`.execute(db),
  );
  assert.equal(rows.length, 0);
});
