/** How one record goes to a security-event system. */
import { toCef } from '../domain/audit-cef.ts';
import { toOcsf } from '../domain/audit-ocsf.ts';
import type { AuditEntryAnswer } from '../http/api/schemas.ts';
import { entryOf } from './audit-records.ts';

export const auditFormats = ['jsonl', 'cef', 'ocsf'] as const;
export type AuditFormat = (typeof auditFormats)[number];

/** Answers one line, without its end. */
export function formatRecord(answer: AuditEntryAnswer, format: AuditFormat, version: string): string {
  if (format === 'cef') return toCef(entryOf(answer), { version });
  return JSON.stringify(format === 'ocsf' ? toOcsf(entryOf(answer), { version }) : answer);
}
