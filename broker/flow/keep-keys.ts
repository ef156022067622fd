/**
 * The key keeper: looks at each tenant's key in turn, a few at a time, so that a long rewrap holds up no other tenant.
 * Nobody need tell it that a key was rotated. Of several replicas one works on a key, under a claim that lapses.
 */
import type { Scheduler } from '../domain/caller.ts';
import { asBrokerError } from '../errors.ts';
import type { Clock, DataKeys, Store, TenantKeyClaim } from '../ports.ts';
import { type createKeepTenantKey, keyClaimMs } from './keep-tenant-key.ts';

const workers = 4;

export interface KeyKeeper {
  /** Looks at every tenant's key now and does what is due; answers how many there were. */
  runOnce(): Promise<number>;
  /** Runs until stopped. */
  start(): void;
  /** Looks for work at once. */
  wake(): void;
  stop(): Promise<void>;
}

export interface KeyKeeperDeps {
  readonly store: Store;
  readonly keepTenantKey: ReturnType<typeof createKeepTenantKey>;
  readonly dataKeys: Pick<DataKeys, 'keyVersionIs'>;
  readonly clock: Clock;
  /** How often each key is looked at. */
  readonly intervalMs: number;
  readonly newRequestId: () => string;
  readonly sleep: (ms: number, signal: AbortSignal) => Promise<void>;
  readonly onFault: (error: unknown) => void;
}

export function createKeyKeeper(deps: KeyKeeperDeps): KeyKeeper {
  const { store, keepTenantKey, dataKeys, clock, intervalMs, newRequestId, sleep, onFault } = deps;
  const stopping = new AbortController();
  let woken = new AbortController();
  let loops: Promise<unknown> | undefined;
  /** Looks that run in this process. */
  const running = new Set<Promise<boolean>>();

  /** Takes one tenant after the other until none is due that is not in `done`. */
  async function work(lookedBefore: () => Date, done: string[]): Promise<void> {
    let found = true;
    while (found && !stopping.signal.aborted) {
      const step = keepNext(lookedBefore(), done);
      running.add(step);
      found = await step.finally(() => running.delete(step));
    }
  }

  /** False where no tenant is due. */
  async function keepNext(lookedBefore: Date, done: string[]): Promise<boolean> {
    const now = clock.now();
    const due = { now, lookedBefore, except: [...done] };
    const claim = await store.tenantKeys.claimDue(due, new Date(now.getTime() + keyClaimMs));
    if (!claim) return false;
    done.push(claim.record.tenant);
    await keep(claim);
    return true;
  }

  async function runningEnd(): Promise<void> {
    while (running.size > 0) await Promise.allSettled(running);
  }

  async function keep(claim: TenantKeyClaim): Promise<void> {
    const caller: Scheduler = { kind: 'scheduler', requestId: newRequestId() };
    try {
      await keepTenantKey(caller, claim, stopping.signal);
    } catch (error) {
      // Vault or PostgreSQL away, the claim lost, the broker stopping: the next look goes on from the rows.
      if (!stopping.signal.aborted && asBrokerError(error).code !== 'STORE_CONFLICT') onFault(error);
    }
    await store.tenantKeys.release(claim, clock.now()).catch(() => undefined);
  }

  /** Other replicas may have noticed a new version first. */
  async function learnVersions(): Promise<void> {
    for (const { tenant, version } of await store.tenantKeys.list()) {
      if (version !== undefined) dataKeys.keyVersionIs(tenant, version);
    }
  }

  async function loop(): Promise<void> {
    while (!stopping.signal.aborted) {
      const wake = woken.signal;
      try {
        await work(() => new Date(clock.now().getTime() - intervalMs), []);
        await learnVersions();
      } catch (error) {
        onFault(error);
      }
      await sleep(intervalMs, AbortSignal.any([stopping.signal, wake]));
    }
  }

  return {
    async runOnce() {
      const done: string[] = [];
      // A look that runs may have begun before what whoever asks has done.
      await runningEnd();
      await Promise.all(Array.from({ length: workers }, () => work(() => clock.now(), done)));
      await runningEnd();
      await learnVersions();
      return done.length;
    },
    start() {
      loops ??= Promise.all(Array.from({ length: workers }, loop));
    },
    wake() {
      woken.abort();
      woken = new AbortController();
    },
    async stop() {
      stopping.abort();
      await loops;
    },
  };
}
