/** The admin API's routes for shredding a tenant. */
import { type Route, route } from './route.ts';
import * as wire from './schemas.ts';
import { viewShredPlan, viewShredStatus } from './shred-views.ts';

const path = '/v1/tenants/{tenant}/shred';

export const shredRoutes: readonly Route[] = [
  route(
    {
      method: 'get',
      path: `${path}/plan`,
      operationId: 'planShred',
      summary: 'Shows what shredding the tenant would destroy; changes nothing.',
      status: 200,
    },
    { answer: wire.shredPlan },
    async ({ caller, tenant }, { flows }) => viewShredPlan(await flows.shredTenant.plan(caller, tenant)),
  ),
  route(
    {
      method: 'get',
      path,
      operationId: 'showShred',
      summary: 'Shows how far the shredding of the tenant is, and its proof.',
      status: 200,
    },
    { answer: wire.shredStatus },
    async ({ caller, tenant }, { flows }) => viewShredStatus(await flows.shredTenant.status(caller, tenant)),
  ),
  route(
    {
      method: 'post',
      path,
      operationId: 'requestShred',
      summary: 'Requests that the tenant be shredded; nothing is destroyed yet.',
      status: 201,
    },
    { body: wire.newShred, answer: wire.shredStatus },
    async ({ caller, tenant, body: { without_revocation: withoutRevocation, ...rest } }, { flows }) =>
      viewShredStatus(await flows.shredTenant.request(caller, tenant, { withoutRevocation, ...rest })),
  ),
  route(
    {
      method: 'post',
      path: `${path}/approve`,
      operationId: 'approveShred',
      summary: 'Approves the request, as another person than the one who made it.',
      status: 200,
    },
    { body: wire.shredApproval, answer: wire.shredStatus },
    async ({ caller, tenant, body }, { flows }) =>
      viewShredStatus(await flows.shredTenant.approve(caller, tenant, body)),
  ),
  route(
    {
      method: 'post',
      path: `${path}/cancel`,
      operationId: 'cancelShred',
      summary: 'Withdraws a request that was not started.',
      status: 200,
    },
    { answer: wire.shredStatus },
    async ({ caller, tenant }, { flows }) => viewShredStatus(await flows.shredTenant.cancel(caller, tenant)),
  ),
  route(
    {
      method: 'post',
      path: `${path}/start`,
      operationId: 'startShred',
      summary: 'Starts what was approved, or goes on with what was started. There is no way back.',
      status: 200,
    },
    { body: wire.shredStart, answer: wire.shredStatus },
    async ({ caller, tenant, body }, { flows }) =>
      viewShredStatus(
        await flows.shredTenant.start(caller, tenant, {
          confirm: body.confirm,
          withoutRevocation: body.without_revocation,
        }),
      ),
  ),
];
