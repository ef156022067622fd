/** What the flows need to keep a rate together with the other replicas. Never a reason to fail: without Redis each keeps its share. */
import type { BucketRules } from '../domain/token-bucket.ts';

export interface RateLimits {
  /**
   * Takes a token for one request.
   *
   * @param scope what is closed together: an OAuth client
   * @param part has a bucket of its own within it: a region
   * @param patienceMs how long the caller would wait; beyond that nothing is taken
   */
  take(scope: string, part: string, rules: BucketRules, patienceMs: number): Promise<Turn>;
  /** The other side says that it is too much: halves the rate of that part, and closes the whole scope for `closedMs`. */
  slowDown(scope: string, part: string, rules: BucketRules, closedMs: number): Promise<void>;
}

export interface Turn {
  readonly granted: boolean;
  /** How long to wait before the request is sent; where it is not granted, before asking again. */
  readonly waitMs: number;
}
