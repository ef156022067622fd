/** The spool of received refresh tokens is shared: a file that another broker has stored and removed is no fault. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import type { DataKeys } from '../../broker/ports.ts';
import { openRefreshTokenSpool } from '../../broker/spool/refresh-token-spool.ts';
import { useFolder } from '../support/scope.ts';
import { start } from '../support/store-fixtures.ts';

test('a file that is gone between the look into the directory and its turn keeps no broker from starting', async (t) => {
  const directory = await useFolder(t);
  // Listed, and not there when it is read: as one that another broker removes just then.
  await symlink(join(directory, 'removed'), join(directory, '1-token'));
  const spool = await openRefreshTokenSpool({
    directory,
    dataKeys: {} as DataKeys,
    clock: { now: () => start },
    random: randomBytes,
    log: { warn: () => {}, error: () => assert.fail('nothing is wrong') },
    onWaiting: () => {},
  });
  assert.deepEqual(spool.waiting(), []);
});
