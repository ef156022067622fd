/** Who is not let in although the certificate is good: the one question that is asked on every call, and at every change. */
import type { ErrorCode } from '../errors.ts';
import type { DenyList } from './deny-list.ts';
import type { RevokedCertificates } from './revoked-certificates.ts';

export interface ShutOut {
  /** Why a peer is not let in; undefined where it is. Answers from memory. */
  refusalOf(peer: { readonly spiffeId: string; readonly serial: string }): ErrorCode | undefined;
  /** Has it told whenever the answer may be another one. Answers how to end that. */
  onChange(listener: () => void): () => void;
}

export function createShutOut(deps: {
  readonly denyList: Pick<DenyList, 'has'>;
  readonly revoked: Pick<RevokedCertificates, 'has' | 'mustRefuse'>;
}): ShutOut & { changed(): void } {
  const { denyList, revoked } = deps;
  const listeners = new Set<() => void>();

  return {
    refusalOf({ spiffeId, serial }) {
      const denied = denyList.has(spiffeId);
      if (denied || denyList.has(serial)) return 'WORKLOAD_DENIED';
      if (revoked.has(serial)) return 'CERTIFICATE_REVOKED';
      return denied === undefined || revoked.mustRefuse() ? 'REVOCATIONS_UNKNOWN' : undefined;
    },
    onChange(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    changed() {
      for (const listener of listeners) listener();
    },
  };
}
