/** What the receiver of Google's security events needs. */
import type { AuditRecord } from '../domain/audit-record.ts';
import type { Channel, StateReason } from '../domain/channel.ts';
import type { SecurityEvent, SecurityEventAct, SecurityEventToken } from '../domain/security-event.ts';

/** What is wrong with a security event token (RFC 8935 section 2.4). */
export type SecurityEventFault = 'invalid_request' | 'invalid_key' | 'invalid_issuer' | 'invalid_audience';

export type CheckedToken =
  | { readonly ok: true; readonly claims: Readonly<Record<string, unknown>> }
  /** `detail` quotes nothing of the token. */
  | { readonly ok: false; readonly fault: SecurityEventFault; readonly detail: string };

/** Checks who signed a security event token, who issued it and for whom; never when it expires. */
export interface SecurityEventTokens {
  /** Google's name for itself. */
  readonly issuer: string;
  /**
   * @param audiences asked for only where the signature is good
   * Throws AUTHORIZATION_SERVER_UNAVAILABLE where Google's keys cannot be had.
   */
  check(token: string, audiences: () => Promise<readonly string[]>): Promise<CheckedToken>;
}

/** A channel that an event concerns. */
export type ConcernedChannel = Pick<Channel, 'id' | 'tenant'>;

export interface SecurityEvents {
  /**
   * Takes a security event token in, once, and does with each channel what its events do: in one transaction, with a
   * record for each channel and one for the token. False where its `jti` was taken in before: then nothing is done.
   *
   * @param recordOf the record of an event's act on a channel; `ended` is why its grant has ended by it, where it has
   * @param recordOfAll the record of the token, given how many channels it concerned
   */
  take(
    token: SecurityEventToken,
    at: Date,
    recordOf: (
      event: SecurityEvent,
      act: SecurityEventAct,
      channel: ConcernedChannel,
      ended: StateReason | undefined,
    ) => AuditRecord,
    recordOfAll: (channels: number) => AuditRecord,
  ): Promise<boolean>;
}
