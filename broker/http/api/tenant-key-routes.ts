/** The part of the admin API that shows and changes tenants' keys. */
import type { TenantKeyStatus } from '../../flow/show-tenant-key.ts';
import { type Route, route } from './route.ts';
import * as wire from './schemas.ts';

export const tenantKeyRoutes: readonly Route[] = [
  route(
    {
      method: 'get',
      path: '/v1/tenants/{tenant}/key',
      operationId: 'showTenantKey',
      summary: 'Shows the versions of a tenant’s key and how many rows need each. For its admins and operators.',
      status: 200,
    },
    { answer: wire.tenantKey },
    async ({ caller, tenant }, { flows }) => viewTenantKey(await flows.showTenantKey(caller, { tenant })),
  ),
  route(
    {
      method: 'post',
      path: '/v1/tenants/{tenant}/key/rotate',
      operationId: 'rotateTenantKey',
      summary: 'Makes a new version of a tenant’s key; what is stored is rewrapped to it. For operators.',
      status: 200,
    },
    { answer: wire.tenantKey },
    async ({ caller, tenant }, { flows }) => viewTenantKey(await flows.changeTenantKey.rotate(caller, { tenant })),
  ),
  route(
    {
      method: 'post',
      path: '/v1/tenants/{tenant}/key/min-version',
      operationId: 'raiseMinKeyVersion',
      summary: 'Raises the oldest version of a tenant’s key that decrypts, where no row needs it. For operators.',
      status: 200,
    },
    { body: wire.newMinKeyVersion, answer: wire.tenantKey },
    async ({ caller, tenant, body }, { flows }) =>
      viewTenantKey(await flows.changeTenantKey.raiseMinVersion(caller, { tenant, to: body.to })),
  ),
  route(
    {
      method: 'post',
      path: '/v1/tenants/{tenant}/key/schedule',
      operationId: 'scheduleTenantKey',
      summary: 'Has a tenant’s key rotated, its rows rewrapped and its minimum raised on a schedule. For operators.',
      status: 200,
    },
    { body: wire.newKeySchedule, answer: wire.tenantKey },
    async ({ caller, tenant, body }, { flows }) => {
      const everyMs = body.rotate_every_seconds === null ? undefined : body.rotate_every_seconds * 1_000;
      return viewTenantKey(await flows.changeTenantKey.schedule(caller, { tenant, everyMs }));
    },
  ),
];

function viewTenantKey(status: TenantKeyStatus): wire.TenantKeyAnswer {
  const { rows, rowsToRewrap } = status;
  return {
    tenant: status.tenant,
    fault: status.fault ?? null,
    newest_version: status.newestVersion,
    min_version: status.minVersion,
    versions: status.versions.map(({ version, createdAt, rows: needing }) => ({
      version,
      created_at: createdAt?.toISOString() ?? null,
      rows: needing,
    })),
    rows,
    rows_to_rewrap: rowsToRewrap,
    percent: rows === 0 ? 100 : Math.floor(((rows - rowsToRewrap) * 100) / rows),
    rewrapping: status.rewrapping,
    rows_per_second: status.rowsPerSecond ?? null,
    rewrap_failed: [...status.rewrapFailed],
    rewrapped_at: status.rewrappedAt?.toISOString() ?? null,
    safe_min_version: status.safeMinVersion ?? null,
    rotate_every_seconds: status.rotateEveryMs === undefined ? null : status.rotateEveryMs / 1_000,
    next_rotation_at: status.nextRotation?.toISOString() ?? null,
    next_raise_at: status.nextRaise?.toISOString() ?? null,
  };
}
