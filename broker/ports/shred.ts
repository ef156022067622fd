/** What the shredding of tenants needs of the store. Methods that change state write the audit record in one transaction. */
import type { AuditRecord } from '../domain/audit-record.ts';
import type { Channel } from '../domain/channel.ts';
import type { RevocationOutcome } from '../domain/revocation.ts';
import type { RevocationTally, Shred, ShredProof } from '../domain/shred.ts';

/** A channel of another tenant that Google would end together with one of this tenant's (same identity, same project). */
export interface Sibling {
  /** Of the tenant that is shredded. */
  readonly channel: string;
  readonly sibling: Pick<Channel, 'id' | 'tenant' | 'owner' | 'admins'>;
}

/** What a tenant loses besides its channels. */
export interface ShredImpact {
  /** SPIFFE IDs that may read at least one of its channels. */
  readonly workloads: readonly string[];
  /** Consents that owners have not finished. */
  readonly openConsents: number;
  readonly siblings: readonly Sibling[];
}

/** A ciphertext and the place it was made for. */
export interface TenantCiphertext {
  readonly channel: string;
  readonly generation: number;
  readonly ciphertext: string;
}

export interface Shreds {
  /** The one that counts: open or done, else the newest that came to nothing. */
  newest(tenant: string): Promise<Shred | undefined>;
  impact(tenant: string): Promise<ShredImpact>;
  /** Throws SHRED_EXISTS where one is open. One that has lapsed by `requestedAt` gives way. */
  request(shred: Shred, record: AuditRecord): Promise<void>;
  /** The three below throw STORE_CONFLICT where it is no longer in the state that they begin from, or has lapsed. */
  approve(id: string, by: string, at: Date, record: AuditRecord): Promise<void>;
  cancel(id: string, at: Date, record: AuditRecord): Promise<void>;
  /** Ends the tenant's life in one transaction: no channel releases, consents or refreshes after it. */
  start(
    start: {
      readonly id: string;
      readonly tenant: string;
      readonly by: string;
      readonly at: Date;
      readonly controlCiphertext: string;
      readonly withoutRevocation: boolean;
    },
    record: AuditRecord,
    recordOfChannel: (channel: string) => AuditRecord,
  ): Promise<void>;
  /** Tenants that are being shredded, or were to their end since then, with their channels' places in the cache. */
  ended(since: Date): Promise<
    readonly {
      readonly tenant: string;
      readonly channels: readonly { readonly id: string; readonly generation: number }[];
    }[]
  >;
  /** Takes one started shred to work on until `until`; undefined where none is free. */
  claim(now: Date, until: Date): Promise<Shred | undefined>;
  /** Gives it back until `due`. */
  release(id: string, due: Date): Promise<void>;
  tally(id: string): Promise<RevocationTally>;
  /** Grants that are due to be revoked. */
  dueRevocations(
    id: string,
    now: Date,
    limit: number,
  ): Promise<readonly { readonly channel: Channel; readonly attempts: number; readonly hasSibling: boolean }[]>;
  /** Without `outcome` it is tried again at `dueAt`. */
  revocationTried(
    id: string,
    channel: string,
    tried: { readonly outcome: RevocationOutcome | undefined; readonly dueAt: Date },
    record: AuditRecord,
  ): Promise<void>;
  /** Tries those that failed again. */
  retryFailed(id: string, at: Date, record: AuditRecord): Promise<void>;
  /** Goes on without those that are not done. */
  skipRemaining(id: string, record: AuditRecord): Promise<void>;
  /** From `revoking` to `awaiting_key_destruction`. Throws STORE_CONFLICT where it is no longer `revoking`. */
  revocationsDone(id: string, record: AuditRecord): Promise<void>;
  /** Everything that the tenant's key has encrypted and that is still stored. */
  ciphertexts(tenant: string): Promise<readonly TenantCiphertext[]>;
  /** Takes the ciphertexts and the pinned identities out of the rows, stores the proof, and ends it. */
  finish(shred: Pick<Shred, 'id' | 'tenant'>, proof: ShredProof, at: Date, record: AuditRecord): Promise<void>;
}
