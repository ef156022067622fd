/**
 * Who may do what. People: operators of the installation create tenants and OAuth clients; a tenant's admins act on
 * everything in the tenant; a channel's owner and its listed admins act on that channel. Being an operator gives no
 * access to any channel, nor to a tenant's audit chain; operators and the tenant's admins may have it shredded, by two of them. Auditors read every audit chain and nothing else. Workloads read
 * the channels that an access names them for.
 */

import { type Person, principalsOf } from './caller.ts';
import type { Channel } from './channel.ts';

export interface TenantFacts {
  readonly admins: readonly string[];
}

export function isOperator(person: Person, operatorsGroup: string): boolean {
  return person.groups.includes(operatorsGroup);
}

/** Tells whether the person may read every audit chain. */
export function isAuditor(person: Person, auditorsGroup: string): boolean {
  return person.groups.includes(auditorsGroup);
}

/** Tells whether the person administers the tenant. */
export function administersTenant(person: Person, tenant: TenantFacts | undefined): boolean {
  return tenant !== undefined && names(tenant.admins, person);
}

/** Tells whether the person may act on the channel: its owner, its admins, or its tenant's. */
export function administersChannel(
  person: Person,
  channel: Pick<Channel, 'owner' | 'admins'>,
  tenant: TenantFacts | undefined,
): boolean {
  return channel.owner === person.subject || names(channel.admins, person) || administersTenant(person, tenant);
}

function names(principals: readonly string[], person: Person): boolean {
  const own = new Set(principalsOf(person));
  return principals.some((principal) => own.has(principal));
}
