/**
 * Names workloads: one by its SPIFFE ID, or all below a path of SPIFFE IDs, `spiffe://TRUST-DOMAIN/ns/video/*`. Only whole
 * segments count: that path neither means `/ns/video2/up` nor `/ns/video` itself. A star stands at the end and nowhere
 * else, and no SPIFFE ID can hold one, so a name never means more than it says.
 */
import { parseSpiffeId, SpiffeIdError } from './spiffe-id.ts';

const EVERYTHING_BELOW = '/*';

/**
 * Checks that a text names workloads of the trust domain.
 *
 * @throws SpiffeIdError naming the rule that the text breaks.
 */
export function checkWorkloadPattern(text: string, trustDomain: string): void {
  const path = text.endsWith(EVERYTHING_BELOW) ? text.slice(0, -EVERYTHING_BELOW.length) : text;
  if (path !== text && !path.slice('spiffe://'.length).includes('/'))
    throw new SpiffeIdError('a path before /* has one segment at least: a whole trust domain cannot be named');
  if (parseSpiffeId(path).trustDomain !== trustDomain)
    throw new SpiffeIdError(`only workloads of ${trustDomain} can be named: spiffe://${trustDomain}/workload/NAME`);
}

/** Tells whether the workload is one of those that are named. */
export function namesWorkload(pattern: string, spiffeId: string): boolean {
  return pattern.endsWith(EVERYTHING_BELOW) ? spiffeId.startsWith(pattern.slice(0, -1)) : spiffeId === pattern;
}
