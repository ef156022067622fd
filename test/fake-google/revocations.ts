/**
 * What identities took back from projects. A revocation reaches all clients of its project, may take effect late, and
 * may then also kill what was granted while it was on its way (reference G31–G33).
 */
import type { Clock } from './clock.ts';
import type { Issued } from './issued.ts';
import type { Identity } from './world.ts';

/** How a revocation reaches its tokens. */
export interface RevocationTiming {
  /** Milliseconds of the clock until the revocation takes effect. */
  readonly delay: number;
  /** Whether a consent given during the delay is killed as well (reference G33). */
  readonly reachesLaterConsents: boolean;
}

interface Revocation {
  /** Everything issued up to here is reached, also when the clock stands still. */
  readonly lastSerial: number;
  readonly effectiveAt: number;
  readonly reachesLaterConsents: boolean;
}

/** The revocations so far. */
export interface RevocationBook {
  /** Takes back everything up to `lastSerial` that `identity` gave to `project`. */
  add(project: string, identity: Identity, lastSerial: number, timing: RevocationTiming): void;
  reaches(issued: Issued): boolean;
}

/** Creates an empty book. */
export function createRevocationBook({ clock }: { clock: Clock }): RevocationBook {
  const revocations = new Map<string, Revocation[]>();
  const key = (project: string, { sub }: Identity) => `${project} ${sub}`;

  return {
    add(project, identity, lastSerial, { delay, reachesLaterConsents }) {
      const revocation = { lastSerial, effectiveAt: clock.now() + delay, reachesLaterConsents };
      const known = revocations.get(key(project, identity)) ?? [];
      revocations.set(key(project, identity), [...known, revocation]);
    },
    reaches({ client, identity, serial, issuedAt }) {
      const known = revocations.get(key(client.project, identity)) ?? [];
      return known.some(
        ({ lastSerial, effectiveAt, reachesLaterConsents }) =>
          effectiveAt <= clock.now() && (serial <= lastSerial || (reachesLaterConsents && issuedAt < effectiveAt)),
      );
    },
  };
}
