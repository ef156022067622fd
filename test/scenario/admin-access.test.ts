/**
 * Who may do what, with real identity tokens of Vault: operators set up, a tenant's admins act on their tenant, an owner
 * and the listed admins on their channel; everybody else is refused, and every act and every refusal is on record.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { fingerprint } from '../../broker/domain/audit-record.ts';
import { createDatabase } from '../../broker/store/database.ts';
import { notify } from '../../broker/store/notify.ts';
import {
  everybody,
  nameOf,
  ofTheChannel,
  ruledNotification,
  ruledTenant,
  rules,
  type Who,
} from '../support/access-rules.ts';
import { createOwnerBrowser } from '../support/owner-browser.ts';
import { atEnd } from '../support/scope.ts';
import { createPerson, type Person } from '../support/vault-people.ts';
import { type SetUpVault, useSetUpVault } from '../support/vault-set-up.ts';
import { oauthClient, useWorld, type World } from '../support/world.ts';

describe('an admin', () => {
  const cleanups: (() => Promise<void>)[] = [];
  const people = new Map<Who, Person>();
  const tokens = new Map<Who, string>();
  let world: World;
  let channel: string;

  before(async () => {
    const scope = { after: (clean: () => Promise<void>) => void cleanups.push(clean) };
    const vault = await useSetUpVault(scope);
    const { transit } = vault.layout.mounts;
    world = await useWorld(scope, { vault, settings: { BROKER_AUDITORS_GROUP: `${transit}-auditors` } });
    const groupOf = new Map<Who, string>([
      ['operator', 'operators'],
      ['auditor', 'auditors'],
      ['admin by group', ruledTenant],
    ]);
    for (const who of everybody) {
      const group = groupOf.get(who);
      const groups = group ? [`${transit}-${group}`] : [];
      const person = await createPerson(world.vault, { name: `${nameOf(who)}-${transit}`, groups });
      people.set(who, person);
      tokens.set(who, await person.identityToken());
    }
    const admins = [`user:${subject('tenant admin')}`, `group:${transit}-${ruledTenant}`];
    assert.equal((await call('operator', 'POST', '/v1/tenants', { name: ruledTenant, admins })).status, 201);
    const change = { tenant: ruledTenant, owner: subject('owner'), admins: [`user:${subject('channel admin')}`] };
    const added = await call('tenant admin', 'POST', '/v1/channels', {
      name: 'studio',
      oauth_client: oauthClient,
      ...change,
    });
    assert.equal(added.status, 201);
    const database = createDatabase({ url: world.databaseUrl, applicationName: 'test' });
    await database.transaction((trx) => notify(trx, ruledNotification));
    await database.close();
    channel = (added.body as { channel: { id: string } }).channel.id;
  });
  after(async () => {
    for (const clean of cleanups.reverse()) await clean();
  });

  function subject(who: Who): string {
    return people.get(who)?.subject ?? assert.fail(`there is no ${who}`);
  }

  async function call(who: Who, method: string, path: string, body?: object) {
    const response = await fetch(`${world.broker.publicUrl}${path}`, {
      method,
      headers: { authorization: `Bearer ${tokens.get(who)}`, 'content-type': 'application/json' },
      ...(body ? { body: JSON.stringify(body) } : {}),
    });
    // Of an export, the first of its lines.
    const [first = ''] = (await response.text()).split('\n');
    return { status: response.status, body: JSON.parse(first) as unknown };
  }

  function codeOf(body: unknown): string {
    return (body as { error?: { code: string } }).error?.code ?? 'ok';
  }

  for (const rule of rules) {
    for (const who of everybody) {
      const may = rule.allowed.includes(who);
      test(`who is the ${who} ${may ? 'may' : 'may not'} ${rule.act}, and it is on record`, async () => {
        const { status, body } = await call(who, rule.method, rule.path(channel), rule.body?.(who));
        const result = may ? 'ok' : rule.refused;
        assert.equal(codeOf(body), result, JSON.stringify(body));
        assert.equal(status < 300, may);
        const records = await world.store.audit.list({ limit: 10 });
        const record = records.find(({ action, caller }) => action === rule.action && caller === subject(who));
        assert.equal(record?.result, result);
        assert.equal(record.ip, '127.0.0.1');
      });
    }
  }

  for (const who of everybody) {
    test(`who is the ${who} sees ${ofTheChannel.includes(who) ? 'the channel' : 'no channel'} in the list`, async () => {
      const { body } = await call(who, 'GET', '/v1/channels');
      const ids = (body as { channels: { id: string }[] }).channels.map(({ id }) => id);
      assert.equal(ids.includes(channel), ofTheChannel.includes(who));
    });
  }

  test('whose identity is not good is refused and put on record; the token is not', async () => {
    const good = tokens.get('tenant admin') ?? '';
    const [head, claims, signature = ''] = good.split('.');
    const other = Buffer.from(
      JSON.stringify({ ...JSON.parse(Buffer.from(claims ?? '', 'base64url').toString()), sub: 'root' }),
    );
    const forged = [head, other.toString('base64url'), signature].join('.');
    const elsewhere = await tokenForAnotherService(world.vault);
    const bad = [forged, `${good.slice(0, -6)}AAAAAA`, elsewhere, 'not-a-token'];
    for (const token of bad) {
      const response = await fetch(`${world.broker.publicUrl}/v1/whoami`, {
        headers: { authorization: `Bearer ${token}` },
      });
      assert.equal(response.status, 401);
      assert.match(response.headers.get('www-authenticate') ?? '', /^Bearer/);
    }
    const [first] = await refusals();
    assert.deepEqual([first?.result, first?.callerKind, first?.ip], ['UNAUTHENTICATED', 'anonymous', '127.0.0.1']);
    for (const token of bad) assert.ok(!JSON.stringify(await refusals()).includes(token.slice(0, 20)));
  });

  test('without an identity is refused everywhere, and cannot fill the record: what comes in one minute is counted', async () => {
    for (const { method, path, body } of rules) {
      const headers = { 'content-type': 'application/json' };
      const sent = body ? { body: JSON.stringify(body('stranger')) } : {};
      const response = await fetch(`${world.broker.publicUrl}${path(channel)}`, { method, headers, ...sent });
      assert.deepEqual([response.status, codeOf(await response.json())], [401, 'UNAUTHENTICATED']);
    }
    assert.equal((await refusals()).length, 1);
    await world.broker.stop();
    const [first, counted, ...more] = await refusals();
    assert.ok(first && counted && more.length === 0);
    assert.equal(counted.facts.count, 3 + rules.length);
    const details = String(counted.facts.details);
    assert.match(details, /"aud"/);
    assert.match(details, /no bearer token/);
  });

  test('whose identity token is new to a broker is put on record once, with a fingerprint of it', async () => {
    for (const who of everybody) {
      const records = await world.store.audit.list({ limit: 1_000 });
      const logins = records.filter(({ action, caller }) => action === 'identity.login' && caller === subject(who));
      assert.equal(logins.length, 1, who);
      assert.equal(logins[0]?.facts.identityToken, fingerprint(tokens.get(who) ?? ''));
    }
  });

  /** Oldest first. */
  async function refusals() {
    const records = await world.store.audit.list({ limit: 1_000 });
    return records.filter(({ action }) => action === 'identity.verify').toReversed();
  }
});

/** Signed by the same key of the same Vault, for a service that is not ours. */
async function tokenForAnotherService(vault: SetUpVault): Promise<string> {
  const { operator, layout } = vault;
  const { key, role, audience } = layout.identity;
  const name = `${role}-elsewhere`;
  await operator.write(`identity/oidc/key/${key}`, { allowed_client_ids: [audience, 'another-service'] });
  await operator.write(`identity/oidc/role/${name}`, { key, client_id: 'another-service' });
  await operator.write(`sys/policies/acl/${name}`, {
    policy: `path "identity/oidc/token/${name}" { capabilities = ["read"] }`,
  });
  const names = {
    ...layout,
    identity: { ...layout.identity, role: name },
    policies: { ...layout.policies, 'admin-identity': name },
  };
  return (await createPerson({ ...vault, layout: names }, { name: `eve-${name}`, groups: [] })).identityToken();
}

describe('behind a gateway', () => {
  test('the audited IP of an owner is the one that the trusted gateway names, and no other', async (t) => {
    for (const [trusted, expected] of [
      ['127.0.0.0/8', '203.0.113.7'],
      [undefined, '127.0.0.1'],
    ] as const) {
      const world = await useWorld(
        { after: (clean) => atEnd(t, clean) },
        trusted ? { settings: { BROKER_TRUSTED_PROXIES: trusted } } : {},
      );
      const { id, consentLink } = await world.addChannel();
      await world.consent(consentLink, {}, createOwnerBrowser({ 'x-forwarded-for': '198.51.100.1, 203.0.113.7' }));
      const records = await world.store.audit.list({ channel: id, limit: 10 });
      const received = records.find(({ action }) => action === 'consent.receive');
      assert.equal(received?.ip, expected);
    }
  });
});
