/**
 * The end of serving: from its beginning no new request gets a token and readiness says no, while requests that are on
 * their way are answered. It stands between the token source and every local interface, so that each refuses in its
 * own form.
 */
import { sidecarError } from './errors.ts';
import type { TokenSource } from './token-source.ts';

export interface Drain {
  /** The token source as the interfaces are given it. */
  readonly tokens: TokenSource;
  /** Whether it has begun. */
  draining(): boolean;
  /** Begins; resolves when the last read on its way has ended, or when the time given is over. */
  begin(withinMs: number): Promise<void>;
}

export function createDrain(tokens: TokenSource): Drain {
  const onTheirWay = new Set<Promise<unknown>>();
  let draining = false;

  return {
    tokens: {
      ...tokens,
      held: (wish) => (draining ? undefined : tokens.held(wish)),
      reject: (channelId, sha256) =>
        draining ? Promise.reject(sidecarError('STOPPING')) : tokens.reject(channelId, sha256),
      read(wish) {
        if (draining) return Promise.reject(sidecarError('STOPPING'));
        const reading = tokens.read(wish);
        const settled = reading
          .then(
            () => undefined,
            () => undefined,
          )
          .finally(() => onTheirWay.delete(settled));
        onTheirWay.add(settled);
        return reading;
      },
    },
    draining: () => draining,
    async begin(withinMs) {
      draining = true;
      const { promise, resolve } = Promise.withResolvers<void>();
      const impatience = setTimeout(resolve, withinMs);
      await Promise.race([Promise.all(onTheirWay), promise]);
      clearTimeout(impatience);
    },
  };
}
