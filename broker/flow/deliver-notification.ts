/**
 * One try at delivering a notification: claim → is it still true? → a fresh consent link → sign and send → write down what
 * became of it. At least once on the wire, always under the same id; a broker that dies on the way is followed by
 * another at the end of its claim.
 *
 * Each try has a link of its own, which lives on whatever becomes of the try: the receiver may have taken a message whose
 * answer was lost, and takes the next one of the same id for a repetition.
 */
import { auditRecord } from '../domain/audit-record.ts';
import type { Scheduler } from '../domain/caller.ts';
import { acceptsConsent, type Channel } from '../domain/channel.ts';
import { cloudEvent, type EventLink } from '../domain/cloud-event.ts';
import { nextTry } from '../domain/delivery-schedule.ts';
import { asksForConsent, isOutdated } from '../domain/notification.ts';
import { Secret } from '../domain/secret.ts';
import { asBrokerError, BrokerError } from '../errors.ts';
import type { Clock, DeliveryClaim, DeliveryProblem, SigningSecrets, Store, StoredNotification } from '../ports.ts';
import { persist } from '../resilience.ts';
import { type InvitationDeps, invite } from './invite-consent.ts';
import type { ReceiverBreaker } from './receiver-breaker.ts';

/**
 * `skipped`: not due, or another's. `withheld`: a fault of ours; the receiver was not asked. `held`: it was not asked because it
 * seems to be down.
 */
export type DeliveryResult = 'delivered' | 'failed' | 'dead' | 'superseded' | 'withheld' | 'held' | 'skipped';

export interface DeliverDeps extends InvitationDeps {
  readonly store: Store;
  readonly clock: Clock;
  readonly receiver: ReceiverBreaker;
  readonly signingSecrets: SigningSecrets;
  /** From 0 to 1. */
  readonly randomFraction: () => number;
  readonly newRequestId: () => string;
  /** The CloudEvents source, and where consent links lead. */
  readonly publicUrl: string;
  /** Longer than one try can take. */
  readonly deliveryLeaseMs: number;
  /** How long a receiver is tried that does not take it. */
  readonly retryForMs: number;
  readonly onDelivery: (
    result: DeliveryResult,
    told: Pick<StoredNotification, 'id' | 'type'>,
    problem?: string,
  ) => void;
}

/** Throws only what the store throws. */
export type DeliverNotification = (id: string) => Promise<DeliveryResult>;

/** After a fault of ours: nothing was tried, so nothing is given up. */
const withheldMs = 60_000;
/** What was held back while the receiver was down comes again spread over so long: it may be thousands. */
const heldSpreadMs = 10 * 60_000;

export function createDeliverNotification(deps: DeliverDeps): DeliverNotification {
  const { store, clock, receiver, signingSecrets } = deps;

  return async (id) => {
    const now = clock.now();
    const claim = await store.notifications.claim(id, now, new Date(now.getTime() + deps.deliveryLeaseMs));
    if (!claim) return 'skipped';
    const { result, problem } = await deliver(claim);
    deps.onDelivery(result, claim.notification, problem);
    return result;
  };

  async function deliver(claim: DeliveryClaim): Promise<{ result: DeliveryResult; problem?: string }> {
    const caller: Scheduler = { kind: 'scheduler', requestId: deps.newRequestId() };
    // Before a link is made for nothing.
    const heldUntil = receiver.heldUntil();
    if (heldUntil) return held(claim, heldUntil);
    const outgoing = await prepare(caller, claim.notification).catch(asBrokerError);
    if (outgoing === 'outdated') {
      await persist(() => store.notifications.superseded(claim, clock.now()));
      return { result: 'superseded' };
    }
    if (outgoing instanceof Error) {
      const at = clock.now();
      const dueAt = new Date(at.getTime() + withheldMs * (1 + deps.randomFraction()));
      await store.notifications.postponed(claim, { at, dueAt, problem: outgoing.code, counted: false });
      return { result: 'withheld', problem: outgoing.detail ?? outgoing.code };
    }
    const failure = await receiver.send(outgoing);
    if (failure === 'held') return held(claim, receiver.heldUntil() ?? clock.now());
    if (failure) return failed(caller, claim, failure);
    await persist(() => store.notifications.delivered(claim, clock.now()));
    return { result: 'delivered' };
  }

  async function held(claim: DeliveryClaim, until: Date) {
    const at = clock.now();
    const dueAt = new Date(Math.max(at.getTime(), until.getTime()) + deps.randomFraction() * heldSpreadMs);
    await store.notifications.postponed(claim, { at, dueAt, problem: 'receiver_down', counted: false });
    return { result: 'held' } as const;
  }

  /** Vault is asked before a link is made, so that its outage leaves no links behind. */
  async function prepare(caller: Scheduler, notification: StoredNotification) {
    const channel = notification.channel ? await store.channels.find(notification.channel) : undefined;
    if (channel && isOutdated(notification, channel)) return 'outdated';
    if (channel && asksForConsent(notification)) await refuseFrozen(channel.oauthClient);
    const secrets = await signingSecrets.current();
    const link = channel && (await linkFor(caller, notification, channel));
    const body = new Secret(cloudEvent(notification, deps.publicUrl, channel, link));
    return { id: notification.id, body, at: clock.now(), secrets };
  }

  /** What is our OAuth client's trouble is not told to owners; when it has passed, most of it is true no more. */
  async function refuseFrozen(oauthClient: string): Promise<void> {
    const open = await store.clientIncidents.open();
    if (!open.some((incident) => incident.oauthClient === oauthClient)) return;
    throw new BrokerError('OAUTH_CLIENT_FROZEN', { detail: `an incident of ${oauthClient} is open` });
  }

  async function linkFor(
    caller: Scheduler,
    notification: StoredNotification,
    channel: Channel,
  ): Promise<EventLink | undefined> {
    if (!asksForConsent(notification) || !acceptsConsent(channel)) return undefined;
    const { token, expiresAt } = await invite(deps, caller, channel, { notification: notification.id });
    return { url: new Secret(`${deps.publicUrl}/consent/${token.reveal()}`), expiresAt };
  }

  async function failed(caller: Scheduler, claim: DeliveryClaim, failure: DeliveryProblem) {
    const { notification } = claim;
    const now = clock.now();
    const problem = failure.status === undefined ? failure.problem : `${failure.problem} ${failure.status}`;
    const { attempts, firstAttemptAt = now } = notification;
    const { retryAfter } = failure;
    const { retryForMs } = deps;
    const randomFraction = deps.randomFraction();
    // 410 says that nobody is there any more (Standard Webhooks).
    const dueAt =
      failure.problem === 'gone'
        ? undefined
        : nextTry({ attempts, firstAttemptAt, now, retryAfter, retryForMs, randomFraction });
    if (dueAt) {
      await persist(() => store.notifications.postponed(claim, { at: now, dueAt, problem, counted: true }));
      return { result: 'failed', problem } as const;
    }
    const { id, type, tenant, channel } = notification;
    const facts = { notification: id, type, attempts, problem };
    const record = auditRecord(now, caller, 'notification.give-up', 'ok', { tenant, channel }, facts);
    await persist(() => store.notifications.died(claim, now, problem, record));
    return { result: 'dead', problem } as const;
  }
}
