import type { ErrorCode } from '../errors.ts';
import type { Clock } from '../ports.ts';
import type { RecordRefusals } from './record-refusals.ts';

/** Audits a caller who could not prove who they are. */
export function createRecordDeniedIdentity(deps: { refusals: RecordRefusals; clock: Clock }) {
  const { refusals, clock } = deps;

  return (attempt: {
    ip: string | undefined;
    requestId: string;
    detail: string;
    /** UNAUTHENTICATED where it is left out. */
    result?: ErrorCode | undefined;
  }): Promise<void> =>
    refusals.record({
      at: clock.now(),
      action: 'identity.verify',
      result: attempt.result ?? 'UNAUTHENTICATED',
      callerKind: 'anonymous',
      caller: 'anonymous',
      ip: attempt.ip,
      requestId: attempt.requestId,
      tenant: undefined,
      channel: undefined,
      facts: { detail: attempt.detail.slice(0, 200) },
    });
}
