/**
 * Puts on record that somebody came with a credential that this replica has not seen before: a person with an identity
 * token, a workload with a certificate. Everything done with the same credential afterwards is told by its own records.
 */
import { auditRecord } from '../domain/audit-record.ts';
import type { Person, Workload } from '../domain/caller.ts';
import type { Clock, Store } from '../ports.ts';

/** How many credentials are remembered; the oldest is forgotten first, and then recorded anew. */
const remembered = 10_000;

export interface Credential {
  /** Tells it from every other one: a fingerprint, never the credential. */
  readonly id: string;
  /** What the record says of it. */
  readonly facts: Readonly<Record<string, string | readonly string[]>>;
}

/** Throws AUDIT_UNAVAILABLE: who cannot be recorded is not let in. */
export type RecordLogin = (caller: Person | Workload, credential: Credential) => Promise<void>;

export function createRecordLogin(deps: { store: Store; clock: Clock }): RecordLogin {
  const { store, clock } = deps;
  const seen = new Map<string, Promise<void>>();

  return (caller, { id, facts }) => {
    const key = `${caller.kind} ${id}`;
    const known = seen.get(key);
    if (known) return known;
    const written = store.audit
      .append(auditRecord(clock.now(), caller, 'identity.login', 'ok', {}, facts))
      .catch((error: unknown) => {
        seen.delete(key);
        throw error;
      });
    seen.set(key, written);
    const [oldest] = seen.keys();
    if (seen.size > remembered && oldest !== undefined) seen.delete(oldest);
    return written;
  };
}
