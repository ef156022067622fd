/**
 * Ids of requests: on every record and log line of what came of one. Each is made here and there is no other like it, also
 * where a caller names its request, so that two acts are never taken for one; after the `@` it names the replica that
 * acted (the end of the replica's id).
 */
import type { RandomBytes } from './identifier.ts';

/** What a caller may name its request; more is not kept. */
const named = /^[A-Za-z0-9._-]{1,64}$/;

/** `8f3a0c5be71d2946@REPLICA`, or `NAME.8f3a0c5be71d2946@REPLICA` where the caller has named it. */
export type NewRequestId = (name?: string) => string;

export function createRequestIds({ random, replica }: { readonly random: RandomBytes; readonly replica: string }) {
  const newRequestId: NewRequestId = (name) => {
    const own = `${random(8).toString('hex')}@${replica}`;
    return name !== undefined && named.test(name) ? `${name}.${own}` : own;
  };
  return newRequestId;
}
