import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type AuditAction, auditActions } from '../../broker/domain/audit-actions.ts';
import { toCef } from '../../broker/domain/audit-cef.ts';
import type { AuditEntry } from '../../broker/domain/audit-entry.ts';
import { ocsfVersion, toOcsf } from '../../broker/domain/audit-ocsf.ts';
import type { AuditRecord } from '../../broker/domain/audit-record.ts';
import { aRecord } from '../support/store-fixtures.ts';

const product = { version: '1.2.3' };
const hash = 'ab'.repeat(32);

function entry(action: AuditAction, given: Partial<AuditRecord> = {}): AuditEntry {
  return { chain: 'acme', seq: 17, hash, record: aRecord(action, { requestId: 'req-1', ...given }) };
}

test('a record in CEF has the header, the standard keys and a label for each custom one', () => {
  const facts = { accessToken: '0011223344556677', reason: 'weekly show' };
  assert.equal(
    toCef(entry('token.release', { channel: 'ch_1', facts }), product),
    'CEF:0|youtube-token-broker|youtube-token-broker|1.2.3|token.release|Release an access token to a workload|1|' +
      'rt=1772366400000 externalId=acme/17 act=token.release outcome=success suser=alice src=192.0.2.7 ' +
      'cs1=person cs1Label=callerKind cs2=acme cs2Label=tenant cs3=ch_1 cs3Label=channel cs4=req-1 cs4Label=requestId ' +
      'cs5=weekly show cs5Label=reasonGiven ' +
      'cs6={"accessToken":"0011223344556677","reason":"weekly show"} cs6Label=facts cn1=17 cn1Label=seq',
  );
});

for (const [what, caller, shown] of [
  ['an equals sign', 'a=b src=1.2.3.4', 'suser=a\\=b src\\=1.2.3.4 '],
  ['a backslash', 'a\\', 'suser=a\\\\ '],
  ['a backslash before an equals sign', '\\=', 'suser=\\\\\\= '],
  ['a line end', 'a\nCEF:0|x\r\n', 'suser=a\\nCEF:0|x\\r\\n '],
  ['another control character', 'a\u0000\u001b[2J\u2028b', 'suser=a  [2J b '],
  ['a pipe, which means nothing in a value', 'a|b', 'suser=a|b '],
] as const) {
  test(`a caller cannot forge a key or a line of CEF by ${what}`, () => {
    const line = toCef(entry('channel.show', { caller }), product);
    assert.ok(line.includes(` ${shown}`), line);
    assert.equal(line.split(/[\r\n\u2028]/).length, 1);
  });
}

test('the header of CEF escapes pipes and backslashes', () => {
  const line = toCef(entry('channel.show'), { version: '1|2\\3\n4' });
  assert.ok(line.startsWith('CEF:0|youtube-token-broker|youtube-token-broker|1\\|2\\\\3 4|channel.show|'), line);
});

test('CEF tells what was refused, an IPv6 address, and how many one record stands for', () => {
  const facts = { count: 12, since: '2026-03-01T11:59:00.000Z', until: '2026-03-01T12:00:00.000Z' };
  const line = toCef(entry('identity.verify', { result: 'UNAUTHENTICATED', ip: '2001:db8::1', facts }), product);
  assert.match(line, /\|6\|/);
  assert.match(
    line,
    / outcome=failure reason=UNAUTHENTICATED .*c6a2=2001:db8::1 c6a2Label=Source IPv6 Address cnt=12 /,
  );
  assert.doesNotMatch(line, / src=/);
});

/**
 * The required attributes of OCSF 1.9.0, from github.com/ocsf/ocsf-schema: events/base_event.json with
 * includes/classification.json and includes/occurrence.json, objects/metadata.json, events/application/api_activity.json
 * with objects/api.json, events/iam/authentication.json (user; at least one of service and dst_endpoint),
 * objects/network_endpoint.json (at least one name or address).
 */
const required = {
  every: [
    ...['activity_id', 'category_uid', 'class_uid', 'type_uid', 'severity_id', 'time'],
    ...['metadata.version', 'metadata.product.name'],
  ],
  6003: ['actor.user.uid', 'api.operation', 'src_endpoint'],
  3002: ['user.uid', 'service.name'],
} as const;

const callers = [
  {},
  { callerKind: 'workload', caller: 'spiffe://a/b', ip: '2001:db8::1' },
  { callerKind: 'scheduler', caller: 'scheduler', ip: undefined, tenant: undefined },
  { callerKind: 'anonymous', caller: 'anonymous', ip: undefined, tenant: undefined, result: 'UNAUTHENTICATED' },
] as const;

for (const action of Object.keys(auditActions) as AuditAction[]) {
  test(`${action} in OCSF has all attributes that the schema requires`, () => {
    for (const given of callers) {
      const event = toOcsf(entry(action, given), product);
      const uid = event.class_uid as 6003 | 3002;
      for (const path of [...required.every, ...required[uid]]) assert.notEqual(at(event, path), undefined, path);
      assert.equal(event.type_uid, uid * 100 + Number(event.activity_id));
      assert.equal(event.category_uid, Math.floor(uid / 1000));
      const endpoint = Object.keys(at(event, 'src_endpoint') as object);
      assert.ok(['ip', 'name', 'svc_name'].some((name) => endpoint.includes(name)));
    }
  });
}

test('a record in OCSF keeps everything: what the schema does not have is under `unmapped`', () => {
  const facts = { detail: 'neither owner nor admin', generation: 3, scopes: ['a', 'b'] };
  const event = toOcsf(entry('channel.show', { result: 'CHANNEL_NOT_FOUND', channel: 'ch_1', facts }), product);
  assert.deepEqual(event, {
    category_uid: 6,
    category_name: 'Application Activity',
    class_uid: 6003,
    class_name: 'API Activity',
    activity_id: 2,
    activity_name: 'Read',
    type_uid: 600302,
    type_name: 'API Activity: Read',
    severity_id: 3,
    severity: 'Medium',
    time: 1772366400000,
    timezone_offset: 0,
    status_id: 2,
    status: 'Failure',
    status_code: 'CHANNEL_NOT_FOUND',
    status_detail: 'neither owner nor admin',
    message: 'Show a channel',
    metadata: {
      version: ocsfVersion,
      product: { name: 'youtube-token-broker', vendor_name: 'youtube-token-broker', version: '1.2.3' },
      uid: 'acme/17',
      sequence: 17,
      event_code: 'channel.show',
      correlation_uid: 'req-1',
      log_name: 'audit',
      tenant_uid: 'acme',
    },
    actor: { user: { uid: 'alice', name: 'alice', type_id: 1 } },
    api: { operation: 'channel.show', service: { name: 'token-broker' } },
    src_endpoint: { ip: '192.0.2.7' },
    resources: [
      { uid: 'acme', type: 'tenant' },
      { uid: 'ch_1', type: 'channel' },
    ],
    unmapped: { chain: 'acme', hash, caller_kind: 'person', facts },
  });
});

test('OCSF says how many refusals one record stands for, and from when to when', () => {
  const facts = { count: 12, since: '2026-03-01T11:59:00.000Z', until: '2026-03-01T12:00:00.000Z' };
  const event = toOcsf(entry('identity.verify', { result: 'UNAUTHENTICATED', facts }), product);
  assert.deepEqual([event.count, event.start_time, event.end_time], [12, 1772366340000, 1772366400000]);
});

function at(value: unknown, path: string): unknown {
  return path.split('.').reduce<unknown>((part, name) => (part as Record<string, unknown> | undefined)?.[name], value);
}
