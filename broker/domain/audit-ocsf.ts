/**
 * An audit record as an event of the Open Cybersecurity Schema Framework, version 1.9.0 (schema.ocsf.io): a proof of
 * identity is an Authentication (3002), everything else an API Activity (6003). What the schema has no attribute for is
 * under `unmapped`, by our own names. The chain's hash is there, too, and not in the schema's `attestation`: that one is
 * computed over the OCSF event, ours over the record.
 */
import { isIP } from 'node:net';
import { type AuditActionKind, rowOf } from './audit-actions.ts';
import { type AuditEntry, entryId, isDenial, productName, type ReportingProduct } from './audit-entry.ts';
import type { AuditRecord } from './audit-record.ts';

export const ocsfVersion = '1.9.0';

type Json = Readonly<Record<string, unknown>>;

/** Answers the event; it goes over the wire as one line of JSON. */
export function toOcsf(entry: AuditEntry, product: ReportingProduct): Json {
  const { record } = entry;
  const { kind, what } = rowOf(record.action);
  const ok = record.result === 'ok';
  const severity = severityOf(record, kind);
  return {
    ...classOf(kind),
    severity_id: severity,
    severity: severities[severity],
    time: record.at.getTime(),
    timezone_offset: 0,
    ...aggregateOf(record),
    status_id: ok ? 1 : 2,
    status: ok ? 'Success' : 'Failure',
    status_code: record.result,
    ...(typeof record.facts.detail === 'string' && { status_detail: record.facts.detail }),
    message: what,
    metadata: {
      version: ocsfVersion,
      product: { name: productName, vendor_name: productName, version: product.version },
      uid: entryId(entry),
      sequence: entry.seq,
      event_code: record.action,
      correlation_uid: record.requestId,
      log_name: 'audit',
      ...(record.tenant !== undefined && { tenant_uid: record.tenant }),
    },
    ...(kind === 'logon'
      ? { user: userOf(record), service: { name: 'token-broker' }, is_remote: true }
      : { actor: { user: userOf(record) }, api: { operation: record.action, service: { name: 'token-broker' } } }),
    src_endpoint: endpointOf(record),
    ...resourcesOf(record),
    unmapped: { chain: entry.chain, hash: entry.hash, caller_kind: record.callerKind, facts: record.facts },
  };
}

const severities = { 1: 'Informational', 2: 'Low', 3: 'Medium' } as const;

function severityOf({ result }: AuditRecord, kind: AuditActionKind): keyof typeof severities {
  if (result === 'ok') return kind === 'delete' ? 2 : 1;
  return isDenial(result) ? 3 : 2;
}

const activities = { create: 1, read: 2, update: 3, delete: 4, logon: 1 } as const;

function classOf(kind: AuditActionKind): Json {
  const [category, categoryName, uid, name] =
    kind === 'logon'
      ? ([3, 'Identity & Access Management', 3002, 'Authentication'] as const)
      : ([6, 'Application Activity', 6003, 'API Activity'] as const);
  const activity = `${kind.slice(0, 1).toUpperCase()}${kind.slice(1)}`;
  return {
    category_uid: category,
    category_name: categoryName,
    class_uid: uid,
    class_name: name,
    activity_id: activities[kind],
    activity_name: activity,
    type_uid: uid * 100 + activities[kind],
    type_name: `${name}: ${activity}`,
  };
}

/** `type_id` of the schema's user object: unknown, user, system. */
const userTypes = { anonymous: 0, person: 1, owner: 1, workload: 3, scheduler: 3, google: 3 } as const;

function userOf(record: AuditRecord): Json {
  return { uid: record.caller, name: record.caller, type_id: userTypes[record.callerKind] };
}

function endpointOf({ ip, callerKind }: AuditRecord): Json {
  if (ip !== undefined && isIP(ip) !== 0) return { ip };
  return callerKind === 'scheduler' ? { svc_name: 'token-broker' } : { name: 'unknown' };
}

function resourcesOf({ tenant, channel }: AuditRecord): Json {
  const resources = [
    ...(tenant === undefined ? [] : [{ uid: tenant, type: 'tenant' }]),
    ...(channel === undefined ? [] : [{ uid: channel, type: 'channel' }]),
  ];
  return resources.length > 0 ? { resources } : {};
}

/** Of a record that stands for several refusals. */
function aggregateOf({ facts }: AuditRecord): Json {
  const { count, since, until } = facts;
  if (typeof count !== 'number' || typeof since !== 'string' || typeof until !== 'string') return {};
  return { count, start_time: Date.parse(since), end_time: Date.parse(until) };
}
