/**
 * What the flows need from the system of record for the life of tenants' keys. Every method may throw STORE_UNAVAILABLE;
 * those that take a claim throw STORE_CONFLICT where it was given to another.
 */
import type { AuditRecord } from '../domain/audit-record.ts';
import type { TenantKeyFault } from '../domain/tenant-key.ts';

/** What is on record of a tenant's key. */
export interface TenantKeyRecord {
  readonly tenant: string;
  /** The newest version that was noticed; undefined before the first look. */
  readonly version: number | undefined;
  /** Ciphertexts of older versions cannot be stored. */
  readonly minVersion: number;
  readonly fault: TenantKeyFault | undefined;
  /** Since when no row needs a version before the newest; undefined while some do. */
  readonly rewrappedAt: Date | undefined;
  /** Rows that Vault could not rewrap, as `grant ch_…`. */
  readonly rewrapFailed: readonly string[];
  readonly rotateEveryMs: number | undefined;
  /** A broker works on it and has until then. */
  readonly claimedUntil: Date | undefined;
}

export interface TenantKeyClaim {
  readonly record: TenantKeyRecord;
  /** Rises with each claim; a write with an older fence is refused. */
  readonly fence: number;
}

export interface TenantKeyRecords {
  find(tenant: string): Promise<TenantKeyRecord | undefined>;
  list(): Promise<readonly TenantKeyRecord[]>;
  /** Undefined where another claim still holds, or there is no such tenant. */
  claim(tenant: string, now: Date, until: Date): Promise<TenantKeyClaim | undefined>;
  /** Claims the tenant that was looked at longest ago, at the latest at `lookedBefore`, and is none of `except`. */
  claimDue(
    due: { readonly now: Date; readonly lookedBefore: Date; readonly except: readonly string[] },
    until: Date,
  ): Promise<TenantKeyClaim | undefined>;
  extend(claim: TenantKeyClaim, until: Date): Promise<void>;
  /** Writes what was found, and how it goes on record. */
  note(
    claim: TenantKeyClaim,
    found: Partial<{
      readonly version: number;
      readonly minVersion: number;
      readonly fault: TenantKeyFault | undefined;
      readonly rewrappedAt: Date | undefined;
      readonly rewrapFailed: readonly string[];
    }>,
    record?: AuditRecord,
  ): Promise<void>;
  /**
   * Refuses from now on to store ciphertexts below the version; durable before it answers. Throws KEY_VERSION_IN_USE,
   * with the number of rows, where some need an older one. No writer slips in between.
   */
  raiseMinimum(claim: TenantKeyClaim, version: number, record: AuditRecord): Promise<void>;
  /** Ends the claim. */
  release(claim: TenantKeyClaim, lookedAt: Date): Promise<void>;
  /** Has the key looked at as soon as some broker can. */
  lookSoon(tenant: string): Promise<void>;
  /** Milliseconds; undefined for never. */
  setSchedule(tenant: string, everyMs: number | undefined, record: AuditRecord): Promise<void>;
}

/** Where ciphertexts of a tenant's key are: a channel's grant, a received one before its checks, a PKCE verifier. */
export type CiphertextKind = 'grant' | 'received' | 'verifier';

export interface StoredCiphertext {
  /** Of the row: a channel or a consent. */
  readonly id: string;
  readonly channel: string;
  readonly generation: number;
  readonly ciphertext: string;
}

/** Every ciphertext of tenants' keys that is stored. */
export interface Ciphertexts {
  /** Rows for each key version, the oldest first. */
  countByKeyVersion(tenant: string): Promise<readonly { readonly version: number; readonly rows: number }[]>;
  /** Up to `limit` rows of a kind below a key version, after the one given, by id. */
  below(
    tenant: string,
    kind: CiphertextKind,
    version: number,
    after: Pick<StoredCiphertext, 'id'> | undefined,
    limit: number,
  ): Promise<readonly StoredCiphertext[]>;
  /**
   * Replaces ciphertexts that are still what they were; answers how many that were. It may be undone by a crash of the
   * database, until the next `raiseMinimum`: what was moved can be moved again.
   */
  replace(
    kind: CiphertextKind,
    changes: readonly { readonly id: string; readonly from: string; readonly to: string }[],
  ): Promise<number>;
}
