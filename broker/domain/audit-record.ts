/**
 * One line of the audit record: who did (or was refused) what to which tenant and channel, from where, when, and how
 * it ended. Never holds a token; where one has to be told from another, its fingerprint.
 */
import { hash } from 'node:crypto';
import type { ErrorCode } from '../errors.ts';
import type { AuditAction } from './audit-actions.ts';
import { type Caller, callerName } from './caller.ts';

export type { AuditAction } from './audit-actions.ts';

export interface AuditRecord {
  readonly at: Date;
  readonly action: AuditAction;
  /** `ok`, or the stable code of the refusal or failure. */
  readonly result: 'ok' | ErrorCode;
  readonly callerKind: Caller['kind'] | 'anonymous';
  readonly caller: string;
  readonly ip: string | undefined;
  readonly requestId: string;
  readonly tenant: string | undefined;
  readonly channel: string | undefined;
  /** What else an auditor needs: scopes, generation, state and reason codes, fingerprints. Never a secret. */
  readonly facts: Readonly<Record<string, string | number | boolean | readonly string[]>>;
}

export interface AuditTarget {
  readonly tenant?: string | undefined;
  readonly channel?: string | undefined;
}

/** Builds the record of an act by a caller. */
export function auditRecord(
  at: Date,
  caller: Caller,
  action: AuditAction,
  result: AuditRecord['result'],
  target: AuditTarget = {},
  facts: AuditRecord['facts'] = {},
): AuditRecord {
  return {
    at,
    action,
    result,
    callerKind: caller.kind,
    caller: callerName(caller),
    ip: 'ip' in caller ? caller.ip : undefined,
    requestId: caller.requestId,
    tenant: target.tenant,
    channel: target.channel,
    facts: caller.kind === 'person' && caller.reason !== undefined ? { reason: caller.reason, ...facts } : facts,
  };
}

/** First 16 hex characters of the SHA-256 of a token: enough to tell two apart, nothing to use. */
export function fingerprint(token: string): string {
  return sha256(token).slice(0, 16);
}

/** By this a worker names a token that Google refused. */
export function sha256(token: string): string {
  return hash('sha256', token, 'hex');
}
