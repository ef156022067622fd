import { parseSpiffeId } from '../../identity/spiffe-id.ts';
import type { GetAccessTokenRequest, GetAccessTokenResponse } from '../../proto/load.ts';
import { type BrokerConnection, createBrokerConnector } from '../../sidecar/broker-connection.ts';
import { createSvidIssuer } from '../../sidecar/svid-issuer.ts';
import { createAppRoleLogin, secretIdFrom } from '../../sidecar/vault/login/approle.ts';
import { createVaultRequest } from '../../sidecar/vault/request.ts';
import { brokerSpiffeId, workloadSpiffeId } from '../../vault-policies/layout.ts';
import { addWorkload } from '../../vault-policies/workloads.ts';
import { atEnd, type Scope } from './scope.ts';
import { credentialFiles } from './vault-set-up.ts';
import type { World } from './world.ts';

/** A workload with its own SVID and one connection to the broker, without a sidecar in between. */
export interface TestWorkload {
  readonly spiffeId: string;
  /** Rejects with the sidecar's error, whose `code` is the broker's. */
  getAccessToken(request: Partial<GetAccessTokenRequest>, withinMs?: number): Promise<GetAccessTokenResponse>;
  readonly subscribe: BrokerConnection['subscribe'];
}

/** Gives a workload its AppRole role and its certificate, and lets it read the channels. */
export async function useWorkload(
  scope: Scope,
  world: World,
  { name = 'uploader', reads = [] }: { readonly name?: string; readonly reads?: readonly string[] } = {},
): Promise<TestWorkload> {
  const { vault, broker } = world;
  const { mounts, trustDomain } = vault.layout;
  await addWorkload(vault.operator, vault.layout, name);
  const request = createVaultRequest({ address: new URL(vault.address), namespace: undefined, caFile: undefined });
  const { roleIdFile, secretIdFile } = await credentialFiles(scope, vault.operator, vault.layout, name);
  const issue = createSvidIssuer({
    vault: request,
    login: createAppRoleLogin(request, { mount: mounts.approle, roleIdFile, secretId: secretIdFrom(secretIdFile) }),
    pkiMount: mounts.pki,
    pkiRole: 'workload',
    spiffeId: parseSpiffeId(workloadSpiffeId(trustDomain, name)),
    now: Date.now,
  });
  const connect = createBrokerConnector(`127.0.0.1:${broker.grpcPort}`, parseSpiffeId(brokerSpiffeId(trustDomain)));
  const connection = connect(await issue());
  atEnd(scope, async () => connection.close());
  const spiffeId = workloadSpiffeId(trustDomain, name);
  for (const channel of reads) {
    await world.api('POST', `/v1/channels/${channel}/workloads`, { spiffe_id: spiffeId, reason: 'uploads' });
  }
  return {
    spiffeId,
    getAccessToken: (asked, withinMs = 15_000) => connection.getAccessToken(asked, Date.now() + withinMs),
    subscribe: connection.subscribe,
  };
}
