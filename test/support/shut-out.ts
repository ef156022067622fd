import type { ErrorCode } from '../../broker/errors.ts';
import type { ShutOut } from '../../broker/flow/shut-out.ts';

/** Says who is shut out, as a test wants it; whoever listens is told at once. */
export interface TestShutOut extends ShutOut {
  /** Shuts out a SPIFFE ID or a serial number; undefined lets it in again. */
  shutOut(subject: string, code: ErrorCode | undefined): void;
}

export function createTestShutOut(): TestShutOut {
  const refused = new Map<string, ErrorCode>();
  const listeners = new Set<() => void>();
  return {
    refusalOf: ({ spiffeId, serial }) => refused.get(spiffeId) ?? refused.get(serial),
    onChange(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    shutOut(subject, code) {
      if (code) refused.set(subject, code);
      else refused.delete(subject);
      for (const listener of listeners) listener();
    },
  };
}
