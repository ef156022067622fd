/**
 * Takes in a security event token that somebody posted: is it Google's and for us (signature, issuer, audience) → what does
 * it say → stored once, with its acts and their records, in one transaction → the scheduler proves what is due by it.
 *
 * Nothing here asks Google about a grant: whoever delivers is answered as soon as the event is durable. An event that is
 * lost costs nothing, since every grant is proven once a day anyway.
 */
import { type AuditRecord, auditRecord } from '../domain/audit-record.ts';
import type { Google } from '../domain/caller.ts';
import {
  MalformedSecurityEvent,
  readSecurityEventToken,
  type SecurityEvent,
  type SecurityEventAct,
  type SecurityEventToken,
} from '../domain/security-event.ts';
import type { Clock, SecurityEventFault, SecurityEvents, SecurityEventTokens, Store } from '../ports.ts';
import type { RecordRefusals } from './record-refusals.ts';

/** `taken` also where it was taken in before: whoever sends it again has missed our answer. */
export type ReceivedSecurityEvent =
  | { readonly result: 'taken' }
  | { readonly result: 'refused'; readonly fault: SecurityEventFault; readonly detail: string };

/** Throws AUTHORIZATION_SERVER_UNAVAILABLE, STORE_UNAVAILABLE or AUDIT_UNAVAILABLE: then it is to be sent again. */
export type ReceiveSecurityEvent = (
  from: { readonly ip: string | undefined; readonly requestId: string },
  token: string,
) => Promise<ReceivedSecurityEvent>;

type RecordOf = Parameters<SecurityEvents['take']>[2];

export function createReceiveSecurityEvent(deps: {
  tokens: SecurityEventTokens;
  store: Store;
  refusals: RecordRefusals;
  clock: Clock;
  /** Told when channels may have become due. */
  onDue: () => void;
  /** Told the type of each event, once, or `refused`. */
  onReceived: (type: string) => void;
}): ReceiveSecurityEvent {
  const { tokens, store, refusals, clock, onDue, onReceived } = deps;

  return async (from, text) => {
    const checked = await tokens.check(text, audiences);
    if (!checked.ok) return refuse(from, checked.fault, checked.detail);
    let token: SecurityEventToken;
    try {
      token = readSecurityEventToken(checked.claims, tokens.issuer);
    } catch (error) {
      if (!(error instanceof MalformedSecurityEvent)) throw error;
      return refuse(from, 'invalid_request', error.message);
    }
    await take({ kind: 'google', ...from }, token);
    return { result: 'taken' };
  };

  async function audiences(): Promise<readonly string[]> {
    return (await store.oauthClients.list()).map(({ clientId }) => clientId);
  }

  async function take(caller: Google, token: SecurityEventToken): Promise<void> {
    const at = clock.now();
    const recordOfAll = (channels: number) =>
      auditRecord(at, caller, 'security-event.receive', 'ok', {}, { ...factsOfAll(token), channels });
    const recordOf: RecordOf = (event, act, channel, ended) => {
      const target = { tenant: channel.tenant, channel: channel.id };
      const facts = factsOf(token, event, act);
      if (!ended) return auditRecord(at, caller, 'channel.security-event', 'ok', target, facts);
      const after = { ...facts, state: 'needs_reconsent', reason: ended };
      return auditRecord(at, caller, 'channel.state', 'RECONSENT_REQUIRED', target, after);
    };
    if (!(await store.securityEvents.take(token, at, recordOf, recordOfAll))) return;
    for (const { type, concerns } of token.events) onReceived(concerns || type === 'verification' ? type : 'unknown');
    onDue();
  }

  async function refuse(
    { ip, requestId }: { ip: string | undefined; requestId: string },
    fault: SecurityEventFault,
    detail: string,
  ): Promise<ReceivedSecurityEvent> {
    onReceived('refused');
    await refusals.record({
      at: clock.now(),
      action: 'security-event.receive',
      result: 'SECURITY_EVENT_REJECTED',
      callerKind: 'anonymous',
      caller: 'anonymous',
      ip,
      requestId,
      tenant: undefined,
      channel: undefined,
      facts: { detail: `${fault}: ${detail}` },
    });
    return { result: 'refused', fault, detail };
  }
}

function factsOfAll({ jti, issuedAt, events }: SecurityEventToken): AuditRecord['facts'] {
  const state = events.find((event) => event.type === 'verification')?.state;
  return {
    jti,
    types: events.map(({ type }) => type),
    issuedAt: issuedAt.toISOString(),
    ...(state === undefined ? {} : { state }),
  };
}

function factsOf({ jti }: SecurityEventToken, { type, reason }: SecurityEvent, act: SecurityEventAct) {
  return { jti, type, act, ...(reason === undefined ? {} : { accountReason: reason }) };
}
