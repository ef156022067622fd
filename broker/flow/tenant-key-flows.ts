/** The life of tenants' keys, wired: what people ask for, and the keeper that needs nobody to ask. */
import type { Clock } from '../ports.ts';
import type { Authorize } from './authorize.ts';
import { createChangeTenantKey } from './change-tenant-key.ts';
import type { FlowDeps } from './flows.ts';
import { createKeyKeeper } from './keep-keys.ts';
import { createKeepTenantKey } from './keep-tenant-key.ts';
import { createRaiseMinVersion } from './raise-min-version.ts';
import { createRewrapCiphertexts } from './rewrap-ciphertexts.ts';
import { createShowTenantKey, createTenantKeyStatus } from './show-tenant-key.ts';

type Needed = Pick<
  FlowDeps,
  | 'store'
  | 'keys'
  | 'dataKeys'
  | 'identityClock'
  | 'keySettings'
  | 'keyNews'
  | 'onRewrapped'
  | 'onFault'
  | 'newRequestId'
  | 'sleep'
  | 'pause'
  | 'operatorsGroup'
>;

export function createTenantKeyFlows(given: Needed & { readonly authorize: Authorize }) {
  const { store, keys, dataKeys, keySettings, operatorsGroup, authorize } = given;
  const clock: Clock = given.identityClock;
  const { minVersionGraceMs: graceMs, rewrapRowsPerSecond: rowsPerSecond } = keySettings;
  const raiseMinVersion = createRaiseMinVersion({ store, keys, clock });
  const rewrap = createRewrapCiphertexts({ ...given, clock, rowsPerSecond });
  const news = {
    ...given.keyNews,
    version: (tenant: string, version: number) => {
      dataKeys.keyVersionIs(tenant, version);
      given.keyNews.version(tenant, version);
    },
  };
  const keepTenantKey = createKeepTenantKey({ store, keys, rewrap, raiseMinVersion, clock, graceMs, news });
  const keeper = createKeyKeeper({ ...given, clock, keepTenantKey, intervalMs: keySettings.pollIntervalMs });
  const tenantKeyStatus = createTenantKeyStatus({ store, keys, clock, graceMs, rowsPerSecond });
  return {
    keeper,
    show: createShowTenantKey({ authorize, operatorsGroup, tenantKeyStatus }),
    change: createChangeTenantKey({ ...given, clock, raiseMinVersion, tenantKeyStatus, onChange: keeper.wake }),
  };
}
