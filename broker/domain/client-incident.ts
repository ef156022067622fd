/**
 * What an OAuth client of ours can have that is nobody's fault who owns a channel, and when ends of grants stop being
 * believed. A grant that Google calls dead is a suspicion first: where many come close together, none of them is the
 * channel's own.
 */

export const incidentKinds = ['client_rejected', 'mass_invalid_grant'] as const;
/** Part of the public API. */
export type IncidentKind = (typeof incidentKinds)[number];

export const incidentEndings = ['recovered', 'thawed', 'believed'] as const;
/** How an incident ended: by itself, or by a person who says that the client is well, or that Google is right. */
export type IncidentEnding = (typeof incidentEndings)[number];

export interface FreezeRules {
  /** So many suspicions make an incident; from half of them on, none is believed. */
  readonly minimum: number;
  /** Part of all answers since the first of them, from 0 to 1. */
  readonly share: number;
  /** Within which they must have begun, in ms. */
  readonly windowMs: number;
}

/** The most successes since the first of so many suspicions with which these are too many. */
export function mostSuccesses(suspicions: number, { share }: FreezeRules): number {
  return Math.floor((suspicions * (1 - share)) / share);
}

/** What a daily proof can find that ends a grant; noted beside Google's own `invalid_grant`. */
export const proofFindings = ['scope_reduced', 'channel_drift'] as const;

/** Whether it is a proof that found it: of these alone is weighed how many there are, since the refresh before it succeeded. */
export function isProofFinding(error: string | undefined): boolean {
  return proofFindings.some((finding) => finding === error);
}

/** From how many suspicions on none is believed until it is clear what it is. */
export function nearFreeze({ minimum }: FreezeRules): number {
  return Math.max(1, Math.ceil(minimum / 2));
}

/** So many of the suspects (or all of them, where they are fewer) have to be well again for the incident to end by itself. */
export const enoughRecovered = 3;

/** How long what Google says of grants is believed after a person said so. */
export const believedForMs = 24 * 3_600_000;
