/**
 * Shuts a workload or one of its certificates out, whatever the access rules say, and lets it in again. Operators shut out
 * of everything; a tenant's admins of the tenant's channels, so that nobody is cut off for another tenant.
 */

import { readSerial } from '../../identity/serial.ts';
import { isMemberOf, parseSpiffeId, SpiffeIdError } from '../../identity/spiffe-id.ts';
import { type AuditAction, auditRecord } from '../domain/audit-record.ts';
import type { Person } from '../domain/caller.ts';
import { BrokerError } from '../errors.ts';
import type { Clock, Store, WorkloadDenial } from '../ports.ts';
import type { Authorize } from './authorize.ts';
import { invalid } from './input.ts';

/** Just one of the two names. */
export interface DenialInput {
  readonly spiffeId?: string | undefined;
  /** Of a certificate, as Vault or OpenSSL write it. */
  readonly serial?: string | undefined;
  /** The tenant whose channels it is about; absent for everything. */
  readonly tenant?: string | undefined;
  readonly reason: string;
}

export function createDenyWorkload(deps: { authorize: Authorize; store: Store; clock: Clock; trustDomain: string }) {
  const { authorize, store, clock, trustDomain } = deps;

  async function mayAct(person: Person, action: AuditAction, tenant: string | undefined): Promise<void> {
    if (tenant === undefined) await authorize.operator(person, action);
    else await authorize.tenant(person, action, tenant);
  }

  /** Throws INVALID_REQUEST. */
  function subjectOf({ spiffeId, serial, tenant }: DenialInput): string {
    if ((spiffeId === undefined) === (serial === undefined)) throw invalid('spiffe_id: name a workload or a serial');
    if (serial === undefined) return checkedSpiffeId(spiffeId ?? '', trustDomain);
    if (tenant !== undefined) throw invalid('tenant: a certificate is shut out of everything or of nothing');
    const read = readSerial(serial);
    if (read === undefined) throw invalid('serial: write hexadecimal bytes such as 1a:2b:3c');
    return read;
  }

  return {
    async deny(person: Person, input: DenialInput): Promise<WorkloadDenial> {
      const { tenant, reason } = input;
      await mayAct(person, 'workload.deny', tenant);
      const subject = subjectOf(input);
      const denial = { subject, tenant, reason, createdBy: person.subject, createdAt: clock.now() };
      const facts = { subject, reason };
      const record = auditRecord(denial.createdAt, person, 'workload.deny', 'ok', { tenant }, facts);
      await store.workloadDenials.deny(denial, record);
      return denial;
    },

    /** Throws NOT_FOUND where it is not shut out. */
    async lift(person: Person, input: DenialInput): Promise<WorkloadDenial> {
      const { tenant, reason } = input;
      await mayAct(person, 'workload.undeny', tenant);
      const subject = subjectOf(input);
      const denials = await store.workloadDenials.list();
      const denial = denials.find((one) => one.subject === subject && one.tenant === tenant);
      if (!denial) throw new BrokerError('NOT_FOUND', { problems: [`${subject} is not shut out`] });
      const record = auditRecord(clock.now(), person, 'workload.undeny', 'ok', { tenant }, { subject, reason });
      await store.workloadDenials.lift(denial, record);
      return denial;
    },

    /** A tenant's, for its admins; where none is named all there are, for operators. */
    async list(person: Person, { tenant }: { tenant?: string | undefined }): Promise<readonly WorkloadDenial[]> {
      await mayAct(person, 'workload.denied', tenant);
      await authorize.looked(person, 'workload.denied', { tenant });
      const denials = await store.workloadDenials.list();
      return tenant === undefined ? denials : denials.filter((denial) => denial.tenant === tenant);
    },
  };
}

function checkedSpiffeId(text: string, trustDomain: string): string {
  try {
    const id = parseSpiffeId(text);
    if (isMemberOf(id, trustDomain)) return id.uri;
  } catch (error) {
    if (!(error instanceof SpiffeIdError)) throw error;
    throw invalid(`spiffe_id: ${error.message}`);
  }
  throw invalid(`spiffe_id: only workloads of ${trustDomain} can be shut out`);
}
