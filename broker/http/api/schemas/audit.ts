/** The audit record on the wire. */
import * as z from 'zod';
import { type AuditAction, auditActions } from '../../../domain/audit-actions.ts';
import { component, count, instant, name } from './common.ts';

const zonedInstant = z.iso
  .datetime({ offset: true, error: 'write an instant with its time zone, such as 2026-03-01T12:00:00Z' })
  .transform((text) => new Date(text));

export const auditFilter = z.strictObject({
  tenant: name.optional().describe('Whose chain; that of the installation, where absent.'),
  channel: z.string().max(64).optional(),
  action: z.enum(Object.keys(auditActions) as AuditAction[]).optional(),
  result: z.string().max(64).optional().describe('`ok` or an error code.'),
  caller: z.string().max(2048).optional().describe('Subject or SPIFFE ID.'),
  request_id: z.string().max(128).optional().describe('As answered, or what the caller named the request.'),
  since: zonedInstant.optional().describe('From this instant on.'),
  until: zonedInstant.optional().describe('Before this instant.'),
  limit: count.optional().describe('At most so many; 100 where absent, never more than 1000.'),
  before: count.optional().describe('Goes on backwards: `next` of the page before.'),
  after: count.optional().describe('Forwards instead, from after this seq; oldest first.'),
  wait: count.optional().describe('With `after`: waits so many seconds for a new record, at most 25.'),
});

export const exportQuery = z.strictObject({
  tenant: name.optional().describe('Whose chain; that of the installation, where absent.'),
  from: count
    .optional()
    .describe('From this seq on, as far as a checkpoint covers what was before; all, where absent.'),
});

export const auditEntry = component(
  'AuditEntry',
  z.object({
    id: z.string().describe('Names the record for good.'),
    chain: z.string().nullable().describe('The tenant; null for the chain of the installation.'),
    seq: z.int().describe('1, 2, 3 without gaps within the chain.'),
    at: instant,
    action: z.string(),
    result: z.string().describe('`ok` or an error code.'),
    caller_kind: z.string(),
    caller: z.string().describe('Subject or SPIFFE ID.'),
    ip: z.string().nullable(),
    request_id: z.string(),
    tenant: z.string().nullable(),
    channel: z.string().nullable(),
    facts: z.record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.array(z.string())])),
    hash: z.string().describe('Of the chain up to this record; hexadecimal.'),
  }),
);

export const auditPage = component(
  'AuditPage',
  z.object({
    records: z.array(auditEntry),
    next: z.int().nullable().describe('Where to go on, as `before` or `after`; null at the beginning of the chain.'),
    head: z.int().describe('The newest seq of the chain.'),
  }),
);

export const auditRestore = component(
  'AuditRestore',
  z.strictObject({
    tenant: name.optional().describe('Whose chain; the installation’s, where absent.'),
    reason: z.string().min(1).max(256).describe('What was restored and why; kept in the audit record.'),
  }),
);

export const auditHead = component(
  'AuditHead',
  z.object({
    chain: z.string().nullable().describe('The tenant; null for the chain of the installation.'),
    seq: z.int().describe('The newest record, which Vault has signed.'),
    hash: z.string().describe('Of the chain up to it; hexadecimal.'),
  }),
);

export const exportLine = component(
  'AuditExportLine',
  z
    .looseObject({ type: z.enum(['header', 'key', 'anchor', 'record', 'checkpoint', 'end']) })
    .describe('A line of an export; docs/audit.md tells each, and how to verify them.'),
);

export type AuditEntryAnswer = z.output<typeof auditEntry>;

export type AuditHeadAnswer = z.output<typeof auditHead>;

export type AuditPageAnswer = z.output<typeof auditPage>;
