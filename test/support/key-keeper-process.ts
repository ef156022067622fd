/** A slow key keeper as a process of its own, to be killed: one run, with settings from its environment. */
import { createDatabase } from '../../broker/store/database.ts';
import { createStore } from '../../broker/store/store.ts';
import { createVaultConnection } from '../../broker/vault/connection.ts';
import { appRoleLogin } from '../../broker/vault/login.ts';
import { createTenantKeys } from '../../broker/vault/tenant-keys.ts';
import { createKeeper } from './key-keeper.ts';

const { DATABASE_URL = '', VAULT_ADDR = '', TRANSIT = '', APPROLE = '', ROLE_ID = '', SECRET_ID = '' } = process.env;
const clock = { now: () => new Date() };
const vault = createVaultConnection({
  address: VAULT_ADDR,
  login: appRoleLogin({ mount: APPROLE, roleIdFile: ROLE_ID, secretIdFile: SECRET_ID }),
  clock,
  random: Math.random,
});
const database = createDatabase({ url: DATABASE_URL, applicationName: 'keeper' });
const { keeper } = createKeeper({
  store: createStore({ database }),
  keys: createTenantKeys({ vault, transit: TRANSIT }),
  rowsPerSecond: 5,
});
await keeper.runOnce();
await database.close();
await vault.close();
