/**
 * An audit record in the Common Event Format (ArcSight, "Implementing ArcSight Common Event Format", version 26): a header
 * of seven fields between `|`, then `key=value` pairs. What has no key of its own there is in the custom strings, each
 * with its label, and all facts are in the last one, as JSON.
 */
import { isIPv4, isIPv6 } from 'node:net';
import { rowOf } from './audit-actions.ts';
import { type AuditEntry, entryId, isDenial, productName, type ReportingProduct } from './audit-entry.ts';
import type { AuditRecord } from './audit-record.ts';

/** Answers one line, without its end. */
export function toCef(entry: AuditEntry, product: ReportingProduct): string {
  const { record } = entry;
  const header = [
    'CEF:0',
    'youtube-token-broker',
    productName,
    product.version,
    record.action,
    rowOf(record.action).what,
    String(severityOf(record)),
  ];
  const extension = Object.entries(extensionOf(entry))
    .filter((pair): pair is [string, string | number] => pair[1] !== undefined && pair[1] !== '')
    .map(([key, value]) => `${key}=${escapeValue(String(value))}`);
  return `${header.map(escapeHeader).join('|')}|${extension.join(' ')}`;
}

function extensionOf(entry: AuditEntry): Readonly<Record<string, string | number | undefined>> {
  const { record } = entry;
  const { ip = '', facts } = record;
  return {
    rt: record.at.getTime(),
    externalId: entryId(entry),
    act: record.action,
    outcome: record.result === 'ok' ? 'success' : 'failure',
    reason: record.result === 'ok' ? undefined : record.result,
    suser: record.caller,
    ...(isIPv4(ip) && { src: ip }),
    ...(isIPv6(ip) && { c6a2: ip, c6a2Label: 'Source IPv6 Address' }),
    cnt: typeof facts.count === 'number' ? facts.count : undefined,
    msg: typeof facts.detail === 'string' ? facts.detail : undefined,
    ...custom(1, 'callerKind', record.callerKind),
    ...custom(2, 'tenant', record.tenant),
    ...custom(3, 'channel', record.channel),
    ...custom(4, 'requestId', record.requestId),
    ...custom(5, 'reasonGiven', typeof facts.reason === 'string' ? facts.reason : undefined),
    ...custom(6, 'facts', Object.keys(facts).length > 0 ? JSON.stringify(facts) : undefined),
    cn1: entry.seq,
    cn1Label: 'seq',
  };
}

function custom(number: number, label: string, value: string | undefined) {
  return value === undefined || value === '' ? {} : { [`cs${number}`]: value, [`cs${number}Label`]: label };
}

/** 0 to 10. */
function severityOf({ action, result }: AuditRecord): number {
  if (result === 'ok') return rowOf(action).kind === 'delete' ? 5 : 1;
  return isDenial(result) ? 6 : 4;
}

/** A header field ends at `|` and cannot be told over two lines. */
function escapeHeader(text: string): string {
  return withoutControls(text.replaceAll(/[\r\n]+/g, ' ').replaceAll(/[\\|]/g, '\\$&'));
}

/** A value ends where the next ` key=` begins; line ends are written as `\n` and `\r`. */
function escapeValue(text: string): string {
  return withoutControls(text.replaceAll(/[\\=]/g, '\\$&').replaceAll('\n', '\\n').replaceAll('\r', '\\r'));
}

function withoutControls(text: string): string {
  return text.replaceAll(/[\p{Cc}\u{2028}\u{2029}]/gu, ' ');
}
