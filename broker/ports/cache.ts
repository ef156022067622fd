/** What the flows need from the cache of access tokens. It is never a reason to fail. */
import type { Secret } from '../domain/secret.ts';

export interface CachedToken {
  readonly accessToken: Secret<string>;
  readonly expiresAt: Date;
}

/** Access tokens, encrypted under a data key of the tenant, with a TTL that never passes the token's own end. */
export interface AccessTokenCache {
  /** The key under which a channel's token of that generation is kept; names neither title nor owner. */
  keyOf(channel: string, generation: number): string;
  /**
   * Undefined where there is none, or the cache does not answer: a cache is never a reason to fail.
   *
   * @param newestEndsAt the end of the newest token, where the caller has read it from the channel's row: a process that
   *   holds that very token in its own memory asks nobody
   */
  get(tenant: string, key: string, newestEndsAt?: Date): Promise<CachedToken | undefined>;
  /** Best effort; answers whether it was stored. */
  put(tenant: string, key: string, token: CachedToken): Promise<boolean>;
  drop(key: string): Promise<void>;
  check(): Promise<void>;
}
