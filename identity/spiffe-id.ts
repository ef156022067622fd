/**
 * Reads SPIFFE IDs of workloads, strictly: what is not written exactly as the standard writes it is refused, never
 * mended, so that two spellings can never name one workload (SPIFFE-ID, section 2).
 */

/** The name of a workload: `spiffe://TRUST-DOMAIN/PATH`. */
export interface SpiffeId {
  /** The whole ID, as it stands in the certificate. Two IDs are the same if and only if these are equal. */
  readonly uri: string;
  readonly trustDomain: string;
  /** Begins with `/`; never only that, because that names the trust domain itself. */
  readonly path: string;
}

const SCHEME = 'spiffe://';
const LONGEST_ID = 2048;
const LONGEST_TRUST_DOMAIN = 255;
const TRUST_DOMAIN = /^[a-z0-9._-]+$/;
const SEGMENT = /^[a-zA-Z0-9._-]+$/;

/** A text that is no SPIFFE ID, with the rule that it breaks. */
export class SpiffeIdError extends Error {
  override readonly name = 'SpiffeIdError';
}

/**
 * Reads the SPIFFE ID of a workload.
 *
 * @throws SpiffeIdError naming the rule that the text breaks. The text itself is not repeated: it may come from a stranger.
 */
export function parseSpiffeId(text: string): SpiffeId {
  if (text.length > LONGEST_ID) throw new SpiffeIdError(`a spiffe id has at most ${LONGEST_ID} characters`);
  if (!text.startsWith(SCHEME)) throw new SpiffeIdError(`a spiffe id begins with ${SCHEME} in lower case`);
  const pathAt = text.indexOf('/', SCHEME.length);
  const trustDomain = parseTrustDomain(text.slice(SCHEME.length, pathAt < 0 ? text.length : pathAt));
  if (pathAt < 0) throw new SpiffeIdError('a spiffe id of a workload has a path');
  const path = text.slice(pathAt);
  for (const segment of path.slice(1).split('/')) checkSegment(segment);
  return { uri: text, trustDomain, path };
}

/**
 * Reads the name of a trust domain, without scheme and path.
 *
 * @throws SpiffeIdError naming the rule that the text breaks.
 */
export function parseTrustDomain(text: string): string {
  if (text === '') throw new SpiffeIdError('a trust domain is not empty');
  if (text.length > LONGEST_TRUST_DOMAIN)
    throw new SpiffeIdError(`a trust domain has at most ${LONGEST_TRUST_DOMAIN} characters`);
  // Also keeps out a user part, a port, a query, a fragment and percent encoding.
  if (!TRUST_DOMAIN.test(text))
    throw new SpiffeIdError('a trust domain has only lower-case letters, digits, dots, dashes and underscores');
  return text;
}

/** Tells whether the workload belongs to the trust domain. A domain below or above it is another one. */
export function isMemberOf(id: SpiffeId, trustDomain: string): boolean {
  return id.trustDomain === trustDomain;
}

function checkSegment(segment: string): void {
  if (segment === '') throw new SpiffeIdError('a path of a spiffe id has no empty segment and no slash at its end');
  if (segment === '.' || segment === '..') throw new SpiffeIdError('a path of a spiffe id has no relative segment');
  if (!SEGMENT.test(segment))
    throw new SpiffeIdError('a path of a spiffe id has only letters, digits, dots, dashes and underscores');
}
