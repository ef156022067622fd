/**
 * What the flows need from the world, port by port. Adapters implement these; `broker.ts` wires them. Errors that a port
 * may throw at every method stand at the head of its file, others at the method.
 */

export type * from './ports/admission.ts';
export type * from './ports/audit.ts';
export type * from './ports/audit-chain.ts';
export type * from './ports/audit-pruning.ts';
export type * from './ports/audit-spool.ts';
export type * from './ports/cache.ts';
export type * from './ports/client-incidents.ts';
export type * from './ports/google.ts';
export type * from './ports/notifications.ts';
export type * from './ports/rate-limits.ts';
export type * from './ports/refresh-queue.ts';
export type * from './ports/replicas.ts';
export type * from './ports/retention.ts';
export type * from './ports/revocation.ts';
export type * from './ports/security-events.ts';
export type * from './ports/shred.ts';
export type * from './ports/spool.ts';
export type * from './ports/store.ts';
export type * from './ports/tenant-keys.ts';
export type * from './ports/vault.ts';
export type * from './ports/workload-rules.ts';

export interface Clock {
  now(): Date;
}
