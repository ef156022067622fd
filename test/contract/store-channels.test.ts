import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Person } from '../../broker/domain/caller.ts';
import type { Authorize } from '../../broker/flow/authorize.ts';
import { createEnableOAuthClient, createSetPublishing } from '../../broker/flow/change-oauth-client.ts';
import type { AdministeredBy } from '../../broker/ports/store.ts';
import type { DpopKeys } from '../../broker/ports.ts';
import { useStore } from '../support/store.ts';
import {
  aChannel,
  actsOn,
  aGrant,
  anActiveChannel,
  aRecord,
  fill,
  lease,
  minute,
  start,
} from '../support/store-fixtures.ts';

test('gives back tenants, OAuth clients and channels as they were stored', async (t) => {
  const { store } = await useStore(t);
  const pending = aChannel();
  const active = anActiveChannel(
    { id: 'ch_2', name: 'gardening' },
    { accessTokenCacheKey: 'token:ch_2:1', tokenExpiresAt: minute(60), lastRefreshAt: minute(1), dpopKeyVersion: 7 },
  );
  await fill(store, pending, active);

  assert.deepEqual(await store.tenants.list(), [
    { name: 'acme', admins: ['group:video'], createdAt: start, state: 'active' },
  ]);
  assert.deepEqual(await store.tenants.find('acme'), (await store.tenants.list())[0]);
  assert.deepEqual(await store.oauthClients.find('uploads'), {
    name: 'uploads',
    clientId: 'id.apps.example',
    dpop: true,
    publishing: 'production',
    createdAt: start,
  });
  assert.deepEqual(await store.oauthClients.list(), [await store.oauthClients.find('uploads')]);
  assert.deepEqual(await store.channels.find('ch_1'), pending);
  assert.deepEqual(await store.channels.find('ch_2'), active);
});

test('of two operators who change an OAuth client at once neither undoes what the other did', async (t) => {
  const { store } = await useStore(t);
  await fill(store);
  const nobody = { displayName: undefined, groups: [], ip: undefined };
  const operator: Person = { kind: 'person', subject: 'olga', requestId: 'r', ...nobody };
  const deps = {
    authorize: { operator: async () => {} } as Partial<Authorize> as Authorize,
    dpopKeys: {} as DpopKeys,
    clock: { now: () => minute(1) },
  };
  const disable = createEnableOAuthClient({ ...deps, store, onEnabled: () => {} });
  // The one has looked at the client before the other switches it off.
  let looked = false;
  const find = async (name: string) => {
    const found = await store.oauthClients.find(name);
    if (!looked) {
      looked = true;
      await disable(operator, { name, enabled: false });
    }
    return found;
  };
  const setPublishing = createSetPublishing({
    ...deps,
    store: { ...store, oauthClients: { ...store.oauthClients, find } },
  });
  const changed = await setPublishing(operator, { name: 'uploads', publishing: 'testing' });
  assert.deepEqual([changed.publishing, changed.disabledAt], ['testing', minute(1)]);
});

test('knows nothing by a name that was not stored', async (t) => {
  const { store } = await useStore(t);
  assert.equal(await store.tenants.find('nobody'), undefined);
  assert.equal(await store.oauthClients.find('none'), undefined);
  assert.equal(await store.channels.find('ch_0'), undefined);
  assert.equal(await store.workloadAccess.find('spiffe://example.org/workload/a', 'ch_0'), undefined);
});

test('lists channels by tenant and by state, ordered by name', async (t) => {
  const { store } = await useStore(t);
  await fill(store, anActiveChannel({ id: 'ch_2', name: 'zebras' }), aChannel());
  await store.tenants.create({ name: 'other', admins: [], createdAt: start }, aRecord('tenant.create'));
  await store.channels.create(aChannel({ id: 'ch_3', tenant: 'other' }), aRecord('channel.add'));

  const ids = async (filter: Parameters<typeof store.channels.list>[0]) =>
    (await store.channels.list(filter)).map((channel) => channel.id);
  assert.deepEqual(await ids({}), ['ch_1', 'ch_2', 'ch_3']);
  assert.deepEqual(await ids({ tenant: 'acme' }), ['ch_1', 'ch_2']);
  assert.deepEqual(await ids({ tenant: 'acme', state: 'active' }), ['ch_2']);
});

test('lists for a person what names them as owner or admin, and all of the tenants that they administer', async (t) => {
  const { store } = await useStore(t);
  await fill(store, aChannel({ admins: [] }), aChannel({ id: 'ch_2', name: 'two', owner: 'bob' }));
  await store.tenants.create({ name: 'other', admins: [], createdAt: start }, aRecord('tenant.create'));
  await store.channels.create(
    aChannel({ id: 'ch_3', tenant: 'other', owner: 'bob', admins: [] }),
    aRecord('channel.add'),
  );
  const ids = async (person: Partial<AdministeredBy>, filter: { tenant?: string } = {}) => {
    const administeredBy = { subject: 'nobody', principals: [], tenants: [], ...person };
    return (await store.channels.list({ ...filter, administeredBy })).map((channel) => channel.id);
  };
  assert.deepEqual(await ids({}), []);
  assert.deepEqual(await ids({ subject: 'alice' }), ['ch_1']);
  assert.deepEqual(await ids({ principals: ['user:nobody', 'group:video'] }), ['ch_2']);
  assert.deepEqual(await ids({ tenants: ['other'] }), ['ch_3']);
  assert.deepEqual(await ids({ subject: 'bob' }), ['ch_2', 'ch_3']);
  assert.deepEqual(await ids({ subject: 'bob' }, { tenant: 'other' }), ['ch_3']);
});

test('refuses a taken name and records nothing', async (t) => {
  const { store } = await useStore(t);
  await fill(store, aChannel());
  const tenant = { name: 'acme', admins: [], createdAt: start };
  await assert.rejects(store.tenants.create(tenant, aRecord('tenant.create')), { code: 'ALREADY_EXISTS' });
  const client = {
    name: 'uploads',
    clientId: 'other',
    dpop: false,
    publishing: 'production',
    createdAt: start,
  } as const;
  await assert.rejects(store.oauthClients.create(client, aRecord('oauth-client.add')), { code: 'ALREADY_EXISTS' });
  const again = aRecord('channel.add', { channel: 'ch_2' });
  await assert.rejects(store.channels.create(aChannel({ id: 'ch_2' }), again), { code: 'ALREADY_EXISTS' });
  assert.deepEqual(await actsOn(store, 'ch_2'), []);
});

test('refuses a channel of a tenant or OAuth client that is not there', async (t) => {
  const { store } = await useStore(t);
  await fill(store);
  const create = (given: Parameters<typeof aChannel>[0]) =>
    store.channels.create(aChannel(given), aRecord('channel.add'));
  await assert.rejects(create({ tenant: 'nobody' }), { code: 'TENANT_NOT_FOUND' });
  await assert.rejects(create({ oauthClient: 'none' }), { code: 'OAUTH_CLIENT_NOT_FOUND' });
});

test('changes a state once, together with its record, when two try at the same time', async (t) => {
  const { store } = await useStore(t);
  await fill(store, anActiveChannel());
  const change = {
    id: 'ch_1',
    from: 'active',
    to: 'needs_reconsent',
    reason: 'grant_revoked_or_expired',
    generation: 1,
    at: minute(5),
  } as const;
  const record = () => aRecord('channel.state', { channel: 'ch_1' });
  const results = await Promise.allSettled([
    store.channels.changeState(change, record()),
    store.channels.changeState(change, record()),
  ]);

  assert.deepEqual(results.map((result) => result.status).sort(), ['fulfilled', 'rejected']);
  const refused = results.find((result) => result.status === 'rejected');
  assert.equal(refused?.reason.code, 'STORE_CONFLICT');
  const channel = await store.channels.find('ch_1');
  assert.equal(channel?.state, 'needs_reconsent');
  assert.equal(channel.reason, 'grant_revoked_or_expired');
  assert.deepEqual(channel.updatedAt, minute(5));
  assert.deepEqual(channel.grant, aGrant(), 'a grant is never deleted by a change of state');
  assert.deepEqual(await actsOn(store, 'ch_1'), ['channel.add', 'channel.state']);
});

test('leaves the state of a channel that has a newer grant, or has one at all', async (t) => {
  const { store } = await useStore(t);
  await fill(store, anActiveChannel({}, { generation: 2 }));
  const change = { id: 'ch_1', from: 'active', to: 'suspended', reason: 'suspended_by_admin', at: minute(5) } as const;
  for (const generation of [1, undefined]) {
    const record = aRecord('channel.state', { channel: 'ch_1' });
    await assert.rejects(store.channels.changeState({ ...change, generation }, record), { code: 'STORE_CONFLICT' });
  }
  assert.equal((await store.channels.find('ch_1'))?.state, 'active');
  assert.deepEqual(await actsOn(store, 'ch_1'), ['channel.add']);
});

test('ends no grant for a broker whose claim another has taken over', async (t) => {
  const { store } = await useStore(t);
  await fill(store, anActiveChannel());
  const slow = await store.channels.claim('ch_1', lease(0, 1));
  const other = await store.channels.claim('ch_1', lease(1, 2));
  const dead = { from: 'active', to: 'needs_reconsent', reason: 'grant_revoked_or_expired', generation: 1 } as const;
  const end = (fence: number | undefined) =>
    store.channels.changeState({ id: 'ch_1', ...dead, fence, at: minute(1) }, aRecord('channel.state'));
  await assert.rejects(end(slow?.fence), { code: 'STORE_CONFLICT' });
  assert.equal((await store.channels.find('ch_1'))?.state, 'active');
  await end(other?.fence);
  assert.equal((await store.channels.find('ch_1'))?.state, 'needs_reconsent');
});

test('lets a workload read a channel, and renews the access', async (t) => {
  const { store } = await useStore(t);
  await fill(store, aChannel());
  const access = {
    spiffeId: 'spiffe://example.org/workload/uploader',
    channel: 'ch_1',
    tenant: 'acme',
    reason: 'uploads',
    createdBy: 'alice',
    createdAt: start,
  };
  const renewed = { ...access, reason: 'still uploads', createdBy: 'bob', createdAt: minute(1) };
  await store.workloadAccess.allow(access, aRecord('workload.allow', { channel: 'ch_1' }));
  assert.deepEqual(await store.workloadAccess.find(access.spiffeId, 'ch_1'), access);
  await store.workloadAccess.allow(renewed, aRecord('workload.allow', { channel: 'ch_1' }));

  assert.deepEqual(await store.workloadAccess.listByChannel('ch_1'), [renewed]);
  assert.equal(await store.workloadAccess.find('spiffe://example.org/workload/other', 'ch_1'), undefined);
  assert.deepEqual(await actsOn(store, 'ch_1'), ['channel.add', 'workload.allow', 'workload.allow']);
});

test('refuses an access to a channel of another tenant', async (t) => {
  const { store } = await useStore(t);
  await fill(store, aChannel());
  await store.tenants.create({ name: 'other', admins: [], createdAt: start }, aRecord('tenant.create'));
  const access = {
    spiffeId: 'spiffe://example.org/workload/uploader',
    channel: 'ch_1',
    tenant: 'other',
    reason: 'theft',
    createdBy: 'mallory',
    createdAt: start,
  };
  await assert.rejects(store.workloadAccess.allow(access, aRecord('workload.allow')), { code: 'CHANNEL_NOT_FOUND' });
});

test('leaves nothing for a reader to find in a cache after a suspension, and makes the channel due when it ends', async (t) => {
  const { store } = await useStore(t);
  const token = { accessTokenCacheKey: 'token:ch_1:1', tokenExpiresAt: minute(60), refreshDueAt: minute(30) };
  await fill(store, anActiveChannel({}, token));
  await store.channels.suspend({ id: 'ch_1', at: minute(1) }, aRecord('channel.suspend', { channel: 'ch_1' }));
  const suspended = (await store.channels.find('ch_1'))?.grant;
  assert.deepEqual([suspended?.accessTokenCacheKey, suspended?.refreshTokenHash], [undefined, 'hash-first']);
  const again = store.channels.suspend({ id: 'ch_1', at: minute(2) }, aRecord('channel.suspend'));
  await assert.rejects(again, { code: 'STORE_CONFLICT' });
  await store.channels.resume({ id: 'ch_1', at: minute(3) }, aRecord('channel.resume', { channel: 'ch_1' }));
  const { state, grant } = (await store.channels.find('ch_1')) ?? {};
  assert.deepEqual([state, grant?.refreshDueAt, grant?.accessTokenCacheKey], ['active', minute(3), undefined]);
});
