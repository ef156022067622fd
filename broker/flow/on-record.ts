import { type AuditAction, auditRecord } from '../domain/audit-record.ts';
import type { Person } from '../domain/caller.ts';
import { asBrokerError, type BrokerError } from '../errors.ts';
import type { Clock, Store } from '../ports.ts';

type Facts = Readonly<Record<string, number | string | boolean>>;

/**
 * Does what no transaction of PostgreSQL covers, since it is done in Vault: it is recorded before it is done, and again with
 * its result. What cannot be recorded is not done.
 *
 * @param about what both records say; the second one says what `act` answers, too
 */
export async function onRecord<T extends Facts>(
  { store, clock }: { readonly store: Pick<Store, 'audit'>; readonly clock: Clock },
  caller: Person,
  action: AuditAction,
  about: Facts,
  act: () => Promise<T>,
): Promise<T> {
  const write = (result: 'ok' | BrokerError['code'], facts: Facts) =>
    store.audit.append(auditRecord(clock.now(), caller, action, result, {}, { ...about, ...facts }));
  await write('ok', { step: 'begun' });
  try {
    const facts = await act();
    await write('ok', { step: 'done', ...facts });
    return facts;
  } catch (error) {
    await write(asBrokerError(error).code, { step: 'failed' });
    throw error;
  }
}
