/**
 * The shredding of a tenant: its key in Vault is destroyed, and with it everything that the key has encrypted.
 *
 *   requested ──another person approves──▶ approved ──start──▶ revoking ──▶ awaiting_key_destruction ──key gone──▶ shredded
 *       └──────────── cancel, or not started in time ─────┘ ──▶ cancelled, expired
 *
 * From the start on there is no way back: no token is released, and the tenant's name is never used again.
 */

import type { RevocationOutcome } from './revocation.ts';

export const shredStates = [
  'requested',
  'approved',
  'revoking',
  'awaiting_key_destruction',
  'shredded',
  'cancelled',
  'expired',
] as const;
export type ShredState = (typeof shredStates)[number];

export const tenantStates = ['active', 'shredding', 'shredded'] as const;
export type TenantState = (typeof tenantStates)[number];

/** Counts by outcome; `pending` are still to be tried. */
export type RevocationTally = Readonly<Record<RevocationOutcome | 'pending', number>>;

/** What was found when the key was gone. */
export interface ShredProof {
  readonly at: string;
  readonly channels: number;
  /** Stored ciphertexts of the tenant that were tried. */
  readonly ciphertexts: number;
  /** How many of them opened: 0, else it is not proven. */
  readonly opened: number;
  /** SHA-256, in hex, over the SHA-256 of each ciphertext in the order of the alphabet: to be compared with a backup. */
  readonly ciphertextsDigest: string;
  /** Vault says that there is no such key, and refuses the control, which it had opened at the start. */
  readonly keyAbsent: true;
  readonly controlRefused: true;
  /** False where the key was gone before the start, so that no control could be made. */
  readonly controlHadOpened: boolean;
  readonly revocations: RevocationTally;
}

export interface Shred {
  /** `sh_` and 26 characters of Crockford base32. */
  readonly id: string;
  readonly tenant: string;
  readonly state: ShredState;
  readonly reason: string;
  readonly approvalsNeeded: number;
  readonly withoutRevocation: boolean;
  readonly requestedBy: string;
  readonly requestedAt: Date;
  readonly expiresAt: Date;
  readonly approvedBy: string | undefined;
  readonly approvedAt: Date | undefined;
  readonly startedBy: string | undefined;
  readonly startedAt: Date | undefined;
  readonly endedAt: Date | undefined;
  /** Ciphertext that opened at the start and must not at the end; undefined before the start. */
  readonly controlCiphertext: string | undefined;
  readonly proof: ShredProof | undefined;
}

/** Stands for the control where the key was gone before the start: a ciphertext that no key has made. */
export const noControl = `vault:v1:${Buffer.alloc(28).toString('base64')}`;

/** How often Google is asked for one grant before a person has to decide. */
export const mostRevocationAttempts = 6;

/** The longest that it waits for the next try. */
export const longestRevocationPauseSeconds = 60;

/** The state as of now: a request that was not started in time is void without anybody writing it down. */
export function stateAt(shred: Pick<Shred, 'state' | 'expiresAt'>, now: Date): ShredState {
  const waits = shred.state === 'requested' || shred.state === 'approved';
  return waits && shred.expiresAt <= now ? 'expired' : shred.state;
}
