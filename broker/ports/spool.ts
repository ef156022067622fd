/** What the flows need of the local spool: where a received refresh token is safe before Vault and PostgreSQL have it. */
import type { AuditRecord } from '../domain/audit-record.ts';
import type { Secret } from '../domain/secret.ts';

interface Received {
  readonly tenant: string;
  readonly channel: string;
  /** The generation that the refresh token belongs to. */
  readonly generation: number;
  readonly refreshToken: Secret<string>;
  /** When it ends by itself, where Google said so. */
  readonly refreshTokenExpiresAt?: Date | undefined;
  readonly receivedAt: Date;
  /** Of the act that brought it; written together with the token. */
  readonly record: AuditRecord;
}

/** The refresh token of an authorization-code grant. */
export interface ConsentedToken extends Received {
  readonly kind: 'consented';
  readonly consentId: string;
  readonly dpopKeyVersion: number | undefined;
  readonly scopes: readonly string[];
}

/** The refresh token with which a refresh grant replaced the one that it was asked with (RFC 6749 section 6). */
export interface RotatedToken extends Received {
  readonly kind: 'rotated';
  /** Hash of the one that it replaces. */
  readonly formerTokenHash: string;
}

export type SpooledToken = ConsentedToken | RotatedToken;

/** One refresh token in the spool. */
export interface SpoolEntry {
  readonly channel: string;
  /** Undefined where another process has removed it. Throws as `TenantKeys`; INTERNAL where it does not open. */
  open(): Promise<SpooledToken | undefined>;
  /** It is stored where it belongs. */
  remove(): Promise<void>;
  /** It is not: it waits to be stored from here. */
  leave(): void;
}

/** Where a tenant's refresh tokens can be kept now. */
export interface SpoolPlace {
  /** Encrypted and on disk (fsync) when answered; undefined where the disk refuses. */
  keep(token: SpooledToken): Promise<SpoolEntry | undefined>;
}

export interface RefreshTokenSpool {
  /**
   * Has a key of the tenant at hand, so that what is kept afterwards needs neither Vault nor PostgreSQL. To be called
   * before Google is asked. Throws as `TenantKeys`.
   */
  prepare(tenant: string): Promise<SpoolPlace>;
  /** Those that wait to be stored, also from before a restart; oldest first. */
  waiting(): readonly SpoolEntry[];
}
