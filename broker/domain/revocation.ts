/**
 * Taking a grant back at Google, for one channel or for a whole tenant.
 *
 * Google revokes by person and project: with one refresh token end all grants of the same identity to all OAuth clients of
 * the same Google project, perhaps only some time after Google has answered (reference G31 to G33). The channels that
 * end with it are its siblings, whatever their tenant. What a person accepts is therefore a plan that names them, and what
 * is sent to Google never ends more than the plan named.
 */
import { createHash } from 'node:crypto';
import { canonicalJson } from './canonical-json.ts';
import type { ChannelState } from './channel.ts';

/** What became of one grant at Google; the names are part of the public API. */
export const revocationOutcomes = [
  /** Google took it back. */
  'revoked',
  /** It was dead at Google already. */
  'already_invalid',
  /** Not sent, or not once more: Google would have ended a live channel that nobody agreed to end. */
  'kept_for_sibling',
  /** It does not decrypt: the key was destroyed before its turn came. */
  'unreadable',
  /** Google did not do it, as often as was tried. Of a shred only: the revocation of a channel is tried until it is known. */
  'failed',
  /** Somebody decided to go on without. Of a shred only. */
  'skipped',
] as const;
export type RevocationOutcome = (typeof revocationOutcomes)[number];

/** Outcomes after which Google may have ended siblings. */
export function mayEndSiblings(outcome: RevocationOutcome): boolean {
  return outcome === 'revoked' || outcome === 'already_invalid' || outcome === 'kept_for_sibling';
}

/**
 * When a revocation that failed so many times in a row is tried again: after 2, 4, 8 … seconds, at most `mostSeconds`, and
 * not before what Google asked for, as far as that is at most five minutes.
 */
export function revocationRetryAt(
  now: Date,
  failures: number,
  retryAfterSeconds: number | undefined,
  mostSeconds: number,
): Date {
  const backOff = Math.min(mostSeconds, 2 ** Math.min(failures, 20));
  return new Date(now.getTime() + Math.max(backOff, Math.min(retryAfterSeconds ?? 0, 300)) * 1000);
}

/** After Google's answer siblings are proven so many seconds later: what takes effect late is found early. */
const proofsAfterSeconds = [0, 60, 300, 900, 3600] as const;

/** When siblings are proven for the `count`-th time (from 0); undefined where they have been often enough. */
export function siblingProofAt(answeredAt: Date, count: number): Date | undefined {
  const after = proofsAfterSeconds[count];
  return after === undefined ? undefined : new Date(answeredAt.getTime() + after * 1000);
}

/**
 * How long after a revocation the death of a sibling is put down to it. Google does not say how long `some time` is; the only
 * thing that hangs on it is the reason that people are told.
 */
export const lateWindowMs = 24 * 3_600_000;

/** What ends with a revocation, as of when somebody looked. */
export interface RevocationScope {
  readonly channel: string;
  readonly state: ChannelState;
  /** Of the grant that is taken back; 0 where there is none. */
  readonly generation: number;
  readonly siblings: readonly { readonly id: string; readonly generation: number }[];
}

/** Names a plan: whoever gives it back accepts exactly what it stood for. */
export function planDigest({ channel, state, generation, siblings }: RevocationScope): string {
  const scope = { channel, state, generation, siblings: grantNames(siblings).toSorted() };
  return createHash('sha256').update(canonicalJson(scope)).digest('base64url');
}

/** Channels with the generations of their grants, as `ch_…:3`: a newer consent is another grant. */
export function grantNames(siblings: RevocationScope['siblings']): readonly string[] {
  return siblings.map(({ id, generation }) => `${id}:${generation}`);
}
