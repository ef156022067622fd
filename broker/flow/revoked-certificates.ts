/**
 * Which certificates Vault has revoked, by heart: it is asked on every call. Vault's revocation lists are fetched at an
 * interval. A list that is about to run out is renewed, since Vault does that by itself only where it was told to.
 *
 * The lists are stale where one has run out, or where they could not be fetched for too long. What is done then is a setting
 * (docs/decisions/0015): serve on by what was known last, or let nobody in.
 */
import { BrokerError } from '../errors.ts';
import type { Clock, RevocationList, RevocationLists } from '../ports.ts';

export interface RevocationSettings {
  readonly pollMs: number;
  /** So old the last fetch may be. */
  readonly staleAfterMs: number;
  readonly whenStale: 'serve' | 'refuse';
}

export interface RevokedCertificates {
  has(serial: string): boolean;
  /** Whether nobody may be let in, because it is not known who is revoked. */
  mustRefuse(): boolean;
  /** Throws REVOCATIONS_UNKNOWN where the lists are stale. */
  check(): Promise<void>;
  /** Fetches the lists now. Throws what Vault's connection throws, and REVOCATIONS_UNKNOWN for a list that is not good. */
  look(): Promise<void>;
  /** When the lists were last fetched, and when the first of them runs out. */
  readonly fetchedAt: () => Date | undefined;
  readonly nextUpdate: () => Date | undefined;
  start(): void;
  stop(): Promise<void>;
}

export function createRevokedCertificates(deps: {
  readonly lists: RevocationLists;
  readonly settings: RevocationSettings;
  /** Of what Vault dates. */
  readonly clock: Clock;
  /** From 0 to 1. */
  readonly randomFraction: () => number;
  /** Waits; ends early when the signal fires. */
  readonly sleep: (ms: number, signal: AbortSignal) => Promise<void>;
  /** Told when other certificates are revoked than before, with their number, and when nobody is let in or somebody is again. */
  readonly onChange: (revoked: number) => void;
  /** Told at the first fetch that fails after one that did not. */
  readonly onFault: (error: unknown) => void;
}): RevokedCertificates {
  const { lists, settings, clock, randomFraction, sleep, onChange, onFault } = deps;
  const stopping = new AbortController();
  /** issuer → its newest list; kept where an issuer is gone, for its certificates may still be there */
  const known = new Map<string, RevocationList>();
  let revoked: ReadonlySet<string> = new Set();
  let fetchedAt: Date | undefined;
  let faulty = false;
  let polling: Promise<void> | undefined;

  const nextUpdate = (): Date | undefined => {
    const ends = [...known.values()].flatMap(({ nextUpdate: end }) => (end ? [end.getTime()] : []));
    return ends.length > 0 ? new Date(Math.min(...ends)) : undefined;
  };

  function staleness(): string | undefined {
    const now = clock.now().getTime();
    if (!fetchedAt) return 'the revocation lists have not been fetched yet';
    if (now - fetchedAt.getTime() > settings.staleAfterMs)
      return `the revocation lists were last fetched at ${fetchedAt.toISOString()}`;
    const end = nextUpdate();
    return end && end.getTime() <= now ? `a revocation list has run out at ${end.toISOString()}` : undefined;
  }

  /** A list in the second half of its life. */
  function isOld({ thisUpdate, nextUpdate: end }: RevocationList): boolean {
    return (
      end !== undefined && clock.now().getTime() - thisUpdate.getTime() > (end.getTime() - thisUpdate.getTime()) / 2
    );
  }

  async function look(): Promise<void> {
    let fetched = await lists.fetch();
    if (fetched.some(isOld)) {
      // Where that may not be done the list is good to its end all the same.
      await lists.renew().catch(onFault);
      fetched = await lists.fetch();
    }
    for (const list of fetched) {
      const former = known.get(list.issuer);
      // A standby may answer with the one before.
      if (!former || former.thisUpdate <= list.thisUpdate) known.set(list.issuer, list);
    }
    fetchedAt = clock.now();
    const now = new Set([...known.values()].flatMap(({ serials }) => [...serials]));
    const isAnother = now.size !== revoked.size || [...now].some((serial) => !revoked.has(serial));
    revoked = now;
    if (isAnother) onChange(now.size);
  }

  const mustRefuse = () => settings.whenStale === 'refuse' && staleness() !== undefined;

  async function poll(): Promise<void> {
    for (let refuses = mustRefuse(); !stopping.signal.aborted; ) {
      await sleep(settings.pollMs * (0.8 + 0.2 * randomFraction()), stopping.signal);
      if (stopping.signal.aborted) return;
      await look().then(
        () => (faulty = false),
        (error: unknown) => {
          if (!faulty) onFault(error);
          faulty = true;
        },
      );
      if (refuses !== mustRefuse()) onChange(revoked.size);
      refuses = mustRefuse();
    }
  }

  return {
    has: (serial) => revoked.has(serial),
    mustRefuse,
    async check() {
      const detail = staleness();
      if (detail !== undefined) throw new BrokerError('REVOCATIONS_UNKNOWN', { detail });
    },
    look,
    fetchedAt: () => fetchedAt,
    nextUpdate,
    start() {
      polling ??= poll();
    },
    async stop() {
      stopping.abort();
      await polling;
    },
  };
}
