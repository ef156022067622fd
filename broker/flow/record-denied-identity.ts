import type { Clock, Store } from '../ports.ts';

/** Audits a caller who could not prove who they are. */
export function createRecordDeniedIdentity(deps: { store: Store; clock: Clock }) {
  const { store, clock } = deps;

  return async (attempt: { ip: string | undefined; requestId: string; detail: string }): Promise<void> => {
    await store.audit.append({
      at: clock.now(),
      action: 'identity.verify',
      result: 'UNAUTHENTICATED',
      callerKind: 'anonymous',
      caller: 'anonymous',
      ip: attempt.ip,
      requestId: attempt.requestId,
      tenant: undefined,
      channel: undefined,
      facts: { detail: attempt.detail.slice(0, 200) },
    });
  };
}
