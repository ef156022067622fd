/** The part of the admin API that says which workloads may read what, and who is shut out. */
import type { WorkloadAccess, WorkloadDenial } from '../../ports.ts';
import { type Route, route } from './route.ts';
import * as wire from './schemas.ts';

const ofChannel = '/v1/channels/{channel}/workloads';

export const workloadRoutes: readonly Route[] = [
  route(
    {
      method: 'post',
      path: ofChannel,
      operationId: 'allowWorkload',
      summary: 'Lets a workload read the channel’s tokens; once more changes the rule.',
      status: 200,
    },
    { body: wire.newWorkload, answer: wire.workload },
    async ({ caller, channel, body }, { flows }) => {
      const { spiffe_id: spiffeId, reason, scopes, expires_at, accept_wider_token: acceptsWiderToken } = body;
      const terms = { scopes, acceptsWiderToken, ...(expires_at && { expiresAt: new Date(expires_at) }) };
      return viewWorkload(await flows.allowWorkload(caller, { channel, spiffeId, reason, ...terms }));
    },
  ),
  route(
    {
      method: 'post',
      path: `${ofChannel}/remove`,
      operationId: 'removeWorkload',
      summary: 'Takes an access rule back; open streams hear of it at once.',
      status: 200,
    },
    { body: wire.workloadRemoval, answer: wire.workload },
    async ({ caller, channel, body }, { flows }) => {
      const { spiffe_id: spiffeId, reason } = body;
      return viewWorkload(await flows.manageWorkloads.remove(caller, { channel, spiffeId, reason }));
    },
  ),
  route(
    {
      method: 'get',
      path: '/v1/workloads',
      operationId: 'listWorkloads',
      summary: 'Lists the access rules of the channels you may act on.',
      status: 200,
    },
    { query: wire.workloadFilter, answer: wire.workloadList },
    async ({ caller, query }, { flows }) => {
      const { tenant, channel, spiffe_id: spiffeId } = query;
      const filter = { ...(tenant && { tenant }), ...(channel && { channel }), ...(spiffeId && { spiffeId }) };
      return { workloads: (await flows.manageWorkloads.list(caller, filter)).map(viewWorkload) };
    },
  ),
  route(
    {
      method: 'get',
      path: '/v1/workload-denials',
      operationId: 'listDenials',
      summary: 'Lists who is shut out: of a tenant’s channels, for its admins; all there are, for operators.',
      status: 200,
    },
    { query: wire.denialFilter, answer: wire.denialList },
    async ({ caller, query: { tenant } }, { flows }) => ({
      denials: (await flows.denyWorkload.list(caller, { tenant })).map(viewDenial),
    }),
  ),
  route(
    {
      method: 'post',
      path: '/v1/workload-denials',
      operationId: 'denyWorkload',
      summary:
        'Shuts a workload or a certificate out, also on open connections. For operators; of a tenant’s channels, for its admins.',
      status: 200,
    },
    { body: wire.newDenial, answer: wire.denial },
    async ({ caller, body: { spiffe_id: spiffeId, ...rest } }, { flows }) =>
      viewDenial(await flows.denyWorkload.deny(caller, { spiffeId, ...rest })),
  ),
  route(
    {
      method: 'post',
      path: '/v1/workload-denials/lift',
      operationId: 'undenyWorkload',
      summary: 'Lets a workload or a certificate in again that was shut out.',
      status: 200,
    },
    { body: wire.newDenial, answer: wire.denial },
    async ({ caller, body: { spiffe_id: spiffeId, ...rest } }, { flows }) =>
      viewDenial(await flows.denyWorkload.lift(caller, { spiffeId, ...rest })),
  ),
];

export function viewWorkload(access: WorkloadAccess): wire.WorkloadAnswer {
  return {
    spiffe_id: access.spiffeId,
    channel: access.channel,
    tenant: access.tenant,
    reason: access.reason,
    scopes: access.scopes ? [...access.scopes] : null,
    expires_at: access.expiresAt?.toISOString() ?? null,
    accepts_wider_token: access.acceptsWiderToken ?? false,
    created_by: access.createdBy,
    created_at: access.createdAt.toISOString(),
  };
}

function viewDenial({ subject, tenant, reason, createdBy, createdAt }: WorkloadDenial): wire.DenialAnswer {
  const isWorkload = subject.startsWith('spiffe://');
  return {
    spiffe_id: isWorkload ? subject : null,
    serial: isWorkload ? null : subject,
    tenant: tenant ?? null,
    reason,
    created_by: createdBy,
    created_at: createdAt.toISOString(),
  };
}
