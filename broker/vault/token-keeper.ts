/**
 * Keeps one valid Vault token.
 *
 * A login starts a round. The round renews the token at two thirds of its lease; a renewal that fails is tried again
 * with back-off until the lease ends. When Vault refuses the renewal, shortens the lease (its longest life is near) or
 * the lease ends, the next round begins with a new login, itself tried again with back-off for as long as it takes.
 * The old token serves until its end while the new login is under way. Between two tries callers are told at once
 * why there is no token; they never start a try of their own.
 */
import type { Secret } from '../domain/secret.ts';
import type { Clock } from '../ports.ts';
import { backOff, type Wait } from './back-off.ts';
import type { TokenLease } from './login.ts';
import { VaultFailure, type VaultFailureKind, vaultFailureOf } from './vault-failure.ts';

export interface VaultHealth {
  /** `renewal_failing`: the token still serves, until `tokenExpiresAt`. */
  readonly state: 'logged_in' | 'renewal_failing' | 'logged_out' | 'closed';
  readonly since: Date;
  /** Undefined where there is no token, or one without end. */
  readonly tokenExpiresAt: Date | undefined;
  /** Why the newest login or renewal failed; undefined where it did not. */
  readonly failure: VaultFailureKind | undefined;
}

/** Takes pino's shape. Fields never hold a secret. */
export interface VaultLog {
  info(fields: Readonly<Record<string, unknown>>, message: string): void;
  warn(fields: Readonly<Record<string, unknown>>, message: string): void;
}

export interface TokenKeeper {
  /** The token; the first call logs in. Throws what the newest login threw. */
  current(): Promise<Secret<string>>;
  /**
   * Told that Vault refused a request made with this token. Answers another token to try once, or undefined where
   * there is none: the token is so new that the refusal must be meant.
   */
  replace(refused: Secret<string>): Promise<Secret<string> | undefined>;
  health(): VaultHealth;
  /** Ends all timers and revokes the token where it is ours. */
  close(): Promise<void>;
}

interface Held extends TokenLease {
  readonly obtainedAt: number;
  expiresAt: number;
}

const dayMs = 24 * 3_600_000;
/** A refused token younger than this is not replaced: a request that policy forbids must not log in each time. */
const youngMs = 5_000;

export function createTokenKeeper(deps: {
  readonly logIn: () => Promise<TokenLease>;
  /** Answers the new lease in seconds. */
  readonly renew: (token: Secret<string>) => Promise<number>;
  readonly revoke: (token: Secret<string>) => Promise<void>;
  readonly clock: Clock;
  readonly random: () => number;
  readonly wait: Wait;
  readonly log: VaultLog;
}): TokenKeeper {
  let held: Held | undefined;
  let attempt: Promise<Held> | undefined;
  let round = new AbortController();
  let closed = false;
  let state: Pick<VaultHealth, 'state' | 'since' | 'failure'> = {
    state: 'logged_out',
    since: deps.clock.now(),
    failure: undefined,
  };

  const now = () => deps.clock.now().getTime();
  const isUsable = (lease: Held | undefined): lease is Held => lease !== undefined && now() < lease.expiresAt;

  function become(next: VaultHealth['state'], failure?: VaultFailureKind): void {
    if (closed || (next === state.state && failure === state.failure)) return;
    state = { state: next, since: next === state.state ? state.since : deps.clock.now(), failure };
    if (failure) deps.log.warn({ state: next, failure }, 'vault login or renewal failed');
    else deps.log.info({ state: next }, 'vault login state changed');
  }

  /** Begins a round; the one before, its waiting included, ends. */
  function begin(failures: number): Promise<Held> {
    round.abort();
    round = new AbortController();
    const { signal } = round;
    const started = deps.logIn().then((lease) => hold(lease));
    attempt = started;
    started
      .then(
        (lease) => keep(lease, signal),
        (error: unknown) => tryAgain(error, failures + 1, signal),
      )
      .catch((error: unknown) => {
        if (!signal.aborted) throw error;
      });
    return started;
  }

  function hold(lease: TokenLease): Held {
    const former = held;
    held = {
      ...lease,
      obtainedAt: now(),
      expiresAt: lease.seconds === 0 ? Number.POSITIVE_INFINITY : now() + lease.seconds * 1000,
    };
    attempt = undefined;
    if (former) void discard(former);
    become('logged_in');
    return held;
  }

  async function tryAgain(error: unknown, failures: number, signal: AbortSignal): Promise<void> {
    become(isUsable(held) ? 'renewal_failing' : 'logged_out', vaultFailureOf(error)?.kind ?? 'unexpected_answer');
    await deps.wait(backOff(failures, deps.random), signal);
    void begin(failures).catch(() => undefined);
  }

  async function keep(lease: Held, signal: AbortSignal): Promise<void> {
    if (lease.seconds === 0) return;
    do {
      const part = (2 / 3) * (0.9 + 0.2 * deps.random());
      await deps.wait(Math.min((lease.expiresAt - now()) * part, dayMs), signal);
    } while (lease.renewable && (await renewed(lease, signal)));
    void begin(0).catch(() => undefined);
  }

  /** Answers whether the token lives on for long enough to be kept. */
  async function renewed(lease: Held, signal: AbortSignal): Promise<boolean> {
    for (let failures = 1; now() < lease.expiresAt; failures++) {
      try {
        const seconds = await deps.renew(lease.token);
        signal.throwIfAborted();
        lease.expiresAt = now() + seconds * 1000;
        become('logged_in');
        return seconds >= lease.seconds / 2;
      } catch (error) {
        signal.throwIfAborted();
        const kind = vaultFailureOf(error)?.kind ?? 'unexpected_answer';
        become('renewal_failing', kind);
        if (kind === 'forbidden' || kind === 'bad_request') return false;
        await deps.wait(Math.min(backOff(failures, deps.random), lease.expiresAt - now()), signal);
      }
    }
    return false;
  }

  async function discard(lease: Held): Promise<void> {
    if (lease.ours) await deps.revoke(lease.token).catch(() => undefined);
  }

  async function current(): Promise<Secret<string>> {
    if (closed) throw new VaultFailure('closed', 'the connection to vault is closed');
    if (isUsable(held)) return held.token;
    return (await (attempt ?? begin(0))).token;
  }

  return {
    current,
    async replace(refused) {
      if (held && held.token !== refused) return current();
      if (held && !attempt && now() - held.obtainedAt < youngMs) return undefined;
      if (held) held.expiresAt = 0;
      const token = await current();
      return token.reveal() === refused.reveal() ? undefined : token;
    },
    health: () => ({
      ...state,
      tokenExpiresAt: isUsable(held) && held.seconds > 0 ? new Date(held.expiresAt) : undefined,
    }),
    async close() {
      if (closed) return;
      become('closed');
      closed = true;
      round.abort();
      await attempt?.catch(() => undefined);
      if (held) await discard(held);
      held = undefined;
    },
  };
}
