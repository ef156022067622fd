/**
 * How many connections there may be, so that whoever opens many is in nobody's way. Two pools: those that have not proven who
 * they are yet, and those that have. In the first a newcomer takes the place of the one that has waited longest, of its own
 * address where that has many: who proves itself at once, as a sidecar does, gets in however many hang about. In the second
 * nobody loses a place, and one workload has so many.
 */

export interface ConnectionLimits {
  /** Of connections that have not proven themselves: all, and of one address. */
  readonly unproven: number;
  readonly unprovenOfAddress: number;
  /** Of the others: all, and of one workload. */
  readonly proven: number;
  readonly provenOfWorkload: number;
}

/** What can be counted here. */
export interface Connection {
  readonly address: string;
  /** Ends it, because others need its place. */
  drop(): void;
}

export interface ConnectionPools {
  /** Lets a connection in; another one may be dropped for it. */
  enter(connection: Connection): void;
  /** Counts it among the proven ones, where there is a place. */
  prove(connection: Connection, workload: string): boolean;
  leave(connection: Connection): void;
  readonly counts: () => { readonly unproven: number; readonly proven: number };
}

export function createConnectionPools(limits: ConnectionLimits): ConnectionPools {
  /** Each in the order of their coming. */
  const unproven = new Set<Connection>();
  const byAddress = new Map<string, Set<Connection>>();
  const proven = new Map<Connection, string>();
  const byWorkload = new Map<string, number>();

  function forget(connection: Connection): void {
    if (!unproven.delete(connection)) return;
    const others = byAddress.get(connection.address);
    others?.delete(connection);
    if (others?.size === 0) byAddress.delete(connection.address);
  }

  function dropOldest(of: ReadonlySet<Connection>): void {
    const [oldest] = of;
    if (!oldest) return;
    forget(oldest);
    oldest.drop();
  }

  return {
    enter(connection) {
      const same = byAddress.get(connection.address) ?? new Set();
      if (same.size >= limits.unprovenOfAddress) dropOldest(same);
      else if (unproven.size >= limits.unproven) dropOldest(unproven);
      unproven.add(connection);
      byAddress.set(connection.address, same.add(connection));
    },
    prove(connection, workload) {
      forget(connection);
      const own = byWorkload.get(workload) ?? 0;
      if (proven.size >= limits.proven || own >= limits.provenOfWorkload) return false;
      proven.set(connection, workload);
      byWorkload.set(workload, own + 1);
      return true;
    },
    leave(connection) {
      forget(connection);
      const workload = proven.get(connection);
      if (workload === undefined) return;
      proven.delete(connection);
      const left = (byWorkload.get(workload) ?? 1) - 1;
      if (left > 0) byWorkload.set(workload, left);
      else byWorkload.delete(workload);
    },
    counts: () => ({ unproven: unproven.size, proven: proven.size }),
  };
}
