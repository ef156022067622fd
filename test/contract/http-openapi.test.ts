import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import * as z from 'zod';
import { errorTable } from '../../broker/errors.ts';
import { routes } from '../../broker/http/api/routes.ts';
import { activeChannel } from '../support/fake-flows.ts';
import { deadLetter } from '../support/fake-notifications.ts';
import { plan } from '../support/fake-revocations.ts';
import { startHttpServer, type TestServer } from '../support/http-server.ts';

interface Operation {
  readonly operationId: string;
  readonly summary: string;
  readonly parameters?: readonly { readonly name: string; readonly in: string; readonly schema: object }[];
  readonly requestBody?: { readonly content: Content };
  readonly responses: Readonly<Record<string, { readonly content?: Content; readonly $ref?: string }>>;
}

type Content = Readonly<Record<string, { readonly schema: { readonly $ref: string } }>>;

interface OpenApi {
  readonly openapi: string;
  readonly info: { readonly version: string };
  readonly servers: readonly { readonly url: string }[];
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: {
    readonly schemas: Readonly<Record<string, object>>;
    readonly responses: { readonly Error: { readonly description: string } };
  };
}

async function documentOf(server: TestServer): Promise<OpenApi> {
  const response = await fetch(`${server.url}/v1/openapi.json`);
  assert.equal(response.status, 200);
  return (await response.json()) as OpenApi;
}

/** Reads a schema of the published document, not of the code. */
function schemaOf(document: OpenApi, $ref: string): z.ZodType {
  const prefix = '#/components/schemas/';
  const json = JSON.stringify({ $ref, $defs: document.components.schemas }).replaceAll(prefix, '#/$defs/');
  return z.fromJSONSchema(JSON.parse(json));
}

test('the document names every route once, and nothing else', async () => {
  await using server = await startHttpServer();
  const document = await documentOf(server);
  assert.equal(document.openapi, '3.1.1');
  assert.equal(document.info.version, '1.2.3');
  const documented = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => `${method} ${path}`),
  );
  assert.deepEqual(documented.sort(), routes.map(({ method, path }) => `${method} ${path}`).sort());
  const ids = routes.map(({ operationId }) => operationId);
  assert.equal(new Set(ids).size, ids.length);
});

test('every reference leads somewhere, and every parameter of a path is described', async () => {
  await using server = await startHttpServer();
  const document = await documentOf(server);
  for (const [, name] of JSON.stringify(document).matchAll(/"#\/components\/schemas\/(\w+)"/g)) {
    assert.ok(document.components.schemas[name ?? ''], name);
  }
  for (const [path, methods] of Object.entries(document.paths)) {
    const inPath = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name);
    for (const operation of Object.values(methods)) {
      const described = (operation.parameters ?? []).filter((parameter) => parameter.in === 'path');
      assert.deepEqual(
        described.map(({ name }) => name),
        inPath,
      );
      assert.match(operation.summary, /\.$/);
    }
  }
  assert.match(document.components.responses.Error.description, /`VAULT_SEALED` \(503\)/);
});

const id = activeChannel.id;
const shred = '/v1/tenants/acme/shred';
const alice = {
  kind: 'person',
  subject: 'alice',
  displayName: undefined,
  groups: [],
  ip: undefined,
  requestId: 'r',
} as const;
const calls: Readonly<
  Record<
    string,
    {
      readonly path: string;
      readonly body?: unknown;
      readonly shred?: 'requested' | 'approved';
      readonly suspended?: true;
    }
  >
> = {
  whoami: { path: '/v1/whoami' },
  createTenant: { path: '/v1/tenants', body: { name: 'acme', admins: ['group:a'] } },
  listTenants: { path: '/v1/tenants' },
  showTenantKey: { path: '/v1/tenants/acme/key' },
  rotateTenantKey: { path: '/v1/tenants/acme/key/rotate' },
  raiseMinKeyVersion: { path: '/v1/tenants/moved/key/min-version', body: { to: 2 } },
  scheduleTenantKey: { path: '/v1/tenants/acme/key/schedule', body: { rotate_every_seconds: 7_776_000 } },
  planShred: { path: `${shred}/plan` },
  showShred: { path: shred },
  requestShred: { path: shred, body: { confirm: 'acme', reason: 'contract ended' } },
  approveShred: { path: `${shred}/approve`, body: { confirm: 'acme' }, shred: 'requested' },
  cancelShred: { path: `${shred}/cancel`, shred: 'requested' },
  startShred: { path: `${shred}/start`, body: { confirm: 'acme' }, shred: 'approved' },
  addOAuthClient: { path: '/v1/oauth-clients', body: { name: 'uploads', client_id: 'i', client_secret: 's' } },
  listOAuthClients: { path: '/v1/oauth-clients' },
  showOAuthClient: { path: '/v1/oauth-clients/studio' },
  disableOAuthClient: { path: '/v1/oauth-clients/studio/disable' },
  enableOAuthClient: { path: '/v1/oauth-clients/studio/enable' },
  setDpop: { path: '/v1/oauth-clients/studio/dpop', body: { dpop: false } },
  setPublishing: { path: '/v1/oauth-clients/studio/publishing', body: { publishing: 'testing' } },
  rotateDpopKey: { path: '/v1/oauth-clients/studio/dpop-key/rotate' },
  rotateClientSecret: { path: '/v1/oauth-clients/studio/secrets', body: { client_secret: 's' } },
  retireClientSecrets: { path: '/v1/oauth-clients/studio/secrets/retire', body: { force: true } },
  listOAuthClientIncidents: { path: '/v1/oauth-client-incidents?all=true' },
  showOAuthClientIncidents: { path: '/v1/oauth-clients/studio/incidents' },
  thawOAuthClient: { path: '/v1/oauth-clients/studio/incidents/thaw', body: { kind: 'mass_invalid_grant' } },
  addChannel: { path: '/v1/channels', body: { tenant: 'acme', name: 'north', oauth_client: 'uploads', owner: 'bob' } },
  listChannels: { path: '/v1/channels' },
  showChannel: { path: `/v1/channels/${id}` },
  inviteConsent: { path: `/v1/channels/${id}/consent-links` },
  suspendChannel: { path: `/v1/channels/${id}/suspend`, body: { reason: 'a break' } },
  resumeChannel: { path: `/v1/channels/${id}/resume`, body: { reason: 'mended' }, suspended: true },
  planRevocation: { path: `/v1/channels/${id}/revocation/plan` },
  showRevocation: { path: `/v1/channels/${id}/revocation` },
  revokeChannel: { path: `/v1/channels/${id}/revocation`, body: { plan, reason: 'contract ended' } },
  inviteRevocation: { path: `/v1/channels/${id}/revoke-links` },
  acceptAuditRestore: { path: '/v1/audit/restores', body: { tenant: 'acme', reason: 'disk lost' } },
  listNotifications: { path: '/v1/notifications?state=dead' },
  showNotification: { path: `/v1/notifications/${deadLetter.id}` },
  resendNotification: { path: `/v1/notifications/${deadLetter.id}/resend` },
  setNotificationSecret: { path: '/v1/notification-secrets', body: { secret: 'whsec_c2VjcmV0' } },
  listAuditRecords: { path: '/v1/audit/records?tenant=acme&limit=10&since=2026-03-01T12:00:00%2B01:00' },
  listReplicas: { path: '/v1/replicas' },
  exportAudit: { path: '/v1/audit/export' },
  allowWorkload: {
    path: `/v1/channels/${id}/workloads`,
    body: {
      spiffe_id: 'spiffe://a/b/*',
      reason: 'show',
      scopes: ['https://www.googleapis.com/auth/youtube.upload'],
      expires_at: '2026-12-31T00:00:00Z',
      accept_wider_token: true,
    },
  },
  removeWorkload: {
    path: `/v1/channels/${id}/workloads/remove`,
    body: { spiffe_id: 'spiffe://a/b', reason: 'over' },
  },
  listWorkloads: { path: '/v1/workloads?tenant=acme&spiffe_id=spiffe://a/b' },
  listDenials: { path: '/v1/workload-denials?tenant=acme' },
  denyWorkload: { path: '/v1/workload-denials', body: { serial: '1a:2b', reason: 'stolen' } },
  undenyWorkload: {
    path: '/v1/workload-denials/lift',
    body: { spiffe_id: 'spiffe://a/b', reason: 'found' },
  },
};

for (const route of routes) {
  test(`${route.operationId}: question and answer are what the document says, to the last field`, async () => {
    await using server = await startHttpServer();
    const document = await documentOf(server);
    const operation = document.paths[route.path]?.[route.method];
    const example = calls[route.operationId];
    assert.ok(operation && example, 'give an example call above');
    const body = operation.requestBody?.content['application/json']?.schema.$ref;
    assert.equal(body !== undefined, example.body !== undefined);
    if (body) {
      const schema = schemaOf(document, body);
      schema.parse(example.body);
      assert.equal(schema.safeParse({ ...Object(example.body), odd: 1 }).success, false);
    }
    if (example.shred) {
      const { shredTenant } = server.flows;
      const bob = { ...alice, subject: 'bob' };
      await shredTenant.request(bob, 'acme', { confirm: 'acme', reason: 'ended', withoutRevocation: false });
      if (example.shred === 'approved') await shredTenant.approve(alice, 'acme', { confirm: 'acme' });
    }
    if (example.suspended) await server.flows.suspendChannel.suspend(alice, { channel: id, reason: 'a break' });
    const response = await fetch(`${server.url}${example.path}`, {
      method: route.method.toUpperCase(),
      headers: {
        authorization: 'Bearer alice-token',
        ...(example.body !== undefined && { 'content-type': 'application/json' }),
      },
      ...(example.body !== undefined && { body: JSON.stringify(example.body) }),
    });
    const [type = ''] = (response.headers.get('content-type') ?? '').split(';');
    const answered = operation.responses[String(response.status)]?.content?.[type]?.schema.$ref;
    assert.ok(answered, `status ${response.status} is documented as ${type}`);
    const lines =
      type === 'application/x-ndjson' ? (await response.text()).trim().split('\n') : [await response.text()];
    for (const line of lines) schemaOf(document, answered).parse(JSON.parse(line));
  });
}

test('a refusal is what the document says', async () => {
  await using server = await startHttpServer();
  const document = await documentOf(server);
  const response = await fetch(`${server.url}/v1/whoami`);
  schemaOf(document, '#/components/schemas/Error').parse(await response.json());
});

test('a schema of the document refuses what it does not name', async () => {
  await using server = await startHttpServer();
  const document = await documentOf(server);
  const tenant = schemaOf(document, '#/components/schemas/Tenant');
  const good = { name: 'a', admins: [], created_at: '2026-03-01T12:00:00Z', state: 'active' };
  assert.equal(tenant.safeParse(good).success, true);
  assert.equal(tenant.safeParse({ ...good, created_at: 'yesterday' }).success, false);
  assert.equal(tenant.safeParse({ name: 'a', admins: [] }).success, false);
});

test('docs/api.md lists every route and every code as they are', async () => {
  const text = await readFile(new URL('../../docs/api.md', import.meta.url), 'utf8');
  const rows = text.split('\n').filter((line) => line.startsWith('| `'));
  assert.deepEqual(rows, [
    ...routes.map(({ method, path, summary }) => `| \`${method.toUpperCase()} ${path}\` | ${summary} |`),
    ...Object.entries(errorTable).map(
      ([code, { http, retry, sentence }]) => `| \`${code}\` | ${http} | ${retry ? 'yes' : 'no'} | ${sentence} |`,
    ),
  ]);
});
