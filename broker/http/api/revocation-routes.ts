/** The admin API's routes that stop a channel: for a while, or for good. */
import { viewRevocationPlan, viewRevocationStatus, viewRevokeLink } from './revocation-views.ts';
import { type Route, route } from './route.ts';
import * as wire from './schemas.ts';
import { viewChannel } from './views.ts';

const path = '/v1/channels/{channel}';

export const revocationRoutes: readonly Route[] = [
  route(
    {
      method: 'post',
      path: `${path}/suspend`,
      operationId: 'suspendChannel',
      summary: 'Stops an active channel: nothing is refreshed or served until it is resumed.',
      status: 200,
    },
    { body: wire.suspension, answer: wire.channel },
    async ({ caller, channel, body }, { flows }) =>
      viewChannel(await flows.suspendChannel.suspend(caller, { channel, reason: body.reason })),
  ),
  route(
    {
      method: 'post',
      path: `${path}/resume`,
      operationId: 'resumeChannel',
      summary: 'Makes a suspended channel active; its grant is proven at once.',
      status: 200,
    },
    { body: wire.suspension, answer: wire.channel },
    async ({ caller, channel, body }, { flows }) =>
      viewChannel(await flows.suspendChannel.resume(caller, { channel, reason: body.reason })),
  ),
  route(
    {
      method: 'get',
      path: `${path}/revocation/plan`,
      operationId: 'planRevocation',
      summary: 'Shows what would end with the channel; changes nothing.',
      status: 200,
    },
    { answer: wire.revocationPlan },
    async ({ caller, channel }, { flows }) => viewRevocationPlan(await flows.revokeChannel.plan(caller, { channel })),
  ),
  route(
    {
      method: 'get',
      path: `${path}/revocation`,
      operationId: 'showRevocation',
      summary: 'Shows what became of the revocation at Google.',
      status: 200,
    },
    { answer: wire.revocationStatus },
    async ({ caller, channel }, { flows }) =>
      viewRevocationStatus(await flows.revokeChannel.status(caller, { channel })),
  ),
  route(
    {
      method: 'post',
      path: `${path}/revocation`,
      operationId: 'revokeChannel',
      summary: 'Ends the channel for good, and all that the plan named. There is no way back.',
      status: 200,
    },
    { body: wire.newRevocation, answer: wire.revocationStatus },
    async ({ caller, channel, body: { plan, reason } }, { flows }) =>
      viewRevocationStatus(await flows.revokeChannel.revoke(caller, { channel, plan, reason })),
  ),
  route(
    {
      method: 'post',
      path: `${path}/revoke-links`,
      operationId: 'inviteRevocation',
      summary: 'Makes a one-time link by which the channel’s owner disconnects it; an earlier one is void.',
      status: 201,
    },
    { answer: wire.revokeLink },
    async ({ caller, channel }, { flows, publicUrl }) =>
      viewRevokeLink(await flows.revokeByOwner.invite(caller, { channel }), publicUrl),
  ),
];
