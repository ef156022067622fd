/**
 * What people outside are told, once: that an owner has to act, that it is well again, that an OAuth client of ours is
 * not. Written in the transaction of the change that it tells of; docs/notifications.md has what each carries.
 *
 * The id is made of what it tells of, so that telling the same thing again changes nothing, and so that each delivery of
 * it carries the same one.
 */
import { createHash } from 'node:crypto';
import { canonicalJson } from './canonical-json.ts';
import type { Channel, ChannelState, StateReason } from './channel.ts';
import { crockford } from './identifier.ts';

export const notificationTypes = [
  'channel.needs_reconsent',
  'channel.blocked',
  'channel.recovered',
  'channel.expiring',
  'oauth_client.incident',
  'oauth_client.recovered',
] as const;
/** Part of the public API. */
export type NotificationType = (typeof notificationTypes)[number];

export const notificationStates = [
  /** To be delivered: now, or at the next try. */
  'waiting',
  /** The receiver has said that it has it. */
  'delivered',
  /** A dead letter: the receiver did not take it in all the time that was tried. */
  'dead',
  /** Before it could be delivered it was true no more. */
  'superseded',
] as const;
export type NotificationState = (typeof notificationStates)[number];

/** What is told. What the receiver needs besides (names, links) is read when it is delivered. */
export interface NewNotification {
  readonly type: NotificationType;
  /** Tells two of one type about one thing apart: an instant, or a kind. The same occasion is told once. */
  readonly occasion: string;
  readonly at: Date;
  readonly tenant?: string | undefined;
  readonly channel?: string | undefined;
  /** The channel's grant that it is about. */
  readonly generation?: number | undefined;
  readonly oauthClient?: string | undefined;
  /** What else there is to tell: reasons and figures. Goes out as it is; never a secret. */
  readonly facts?: NotificationFacts;
}

export type NotificationFacts = Readonly<Record<string, string | number | boolean>>;

/** The id that a notification has for ever: `nt_` and 26 characters of Crockford base32. */
export function notificationId({ type, channel, generation, oauthClient, occasion }: NewNotification): string {
  const told = canonicalJson([type, channel ?? null, generation ?? null, oauthClient ?? null, occasion]);
  return `nt_${crockford(createHash('sha256').update(told).digest().subarray(0, 16))}`;
}

/** Tells whether a text can be a notification's id: nothing else is looked up. */
export function isNotificationId(text: string): boolean {
  return /^nt_[0-7][0-9a-hjkmnp-tv-z]{25}$/.test(text);
}

/** A step of a channel from one state to another. */
export interface ChannelStep {
  readonly channel: string;
  readonly tenant: string;
  /** Of the grant that the channel had before. */
  readonly generation: number;
  readonly oauthClient: string;
  readonly from: ChannelState;
  readonly to: ChannelState;
  readonly reason: StateReason;
  readonly at: Date;
}

/** What a step of a channel is told as; undefined where nobody outside has to hear of it. */
export function notificationOfStep(step: ChannelStep): NewNotification | undefined {
  const type = typeOfStep(step);
  if (!type) return undefined;
  const { channel, tenant, generation, oauthClient, from, to, reason, at } = step;
  const facts = { state: to, former_state: from, reason };
  return { type, occasion: at.toISOString(), at, tenant, channel, generation, oauthClient, facts };
}

function typeOfStep({ from, to }: Pick<ChannelStep, 'from' | 'to'>): NotificationType | undefined {
  if (from === to) return undefined;
  if (to === 'needs_reconsent') return 'channel.needs_reconsent';
  if (to === 'blocked') return 'channel.blocked';
  const wasDown = from === 'needs_reconsent' || from === 'blocked';
  return wasDown && to === 'active' ? 'channel.recovered' : undefined;
}

/**
 * Tells whether what is told about a channel is true no more: then it must not go out. A channel that was mended, has a
 * newer grant or was revoked needs nothing of its owner.
 */
export function isOutdated(
  { type, at, generation, facts }: Pick<NewNotification, 'type' | 'at' | 'generation' | 'facts'>,
  channel: Pick<Channel, 'state' | 'grant' | 'formerGeneration'>,
): boolean {
  if ((channel.grant?.generation ?? channel.formerGeneration ?? 0) !== (generation ?? 0)) return true;
  switch (type) {
    case 'channel.needs_reconsent':
      return channel.state !== 'needs_reconsent';
    case 'channel.blocked':
      return channel.state !== 'blocked';
    case 'channel.recovered':
      return channel.state !== 'active';
    case 'channel.expiring': {
      if (channel.state !== 'active' && channel.state !== 'suspended') return true;
      // Whatever was idle has been used since.
      return facts?.kind === 'idle' && (channel.grant?.lastRefreshAt ?? at) > at;
    }
    default:
      return false;
  }
}

/** Tells whether the owner helps by consenting anew, so that a link goes with it. */
export function asksForConsent({ type, facts }: Pick<NewNotification, 'type' | 'facts'>): boolean {
  switch (type) {
    case 'channel.needs_reconsent':
    case 'channel.blocked':
      return true;
    case 'channel.expiring':
      // One more refresh token would only end the next oldest.
      return facts?.kind !== 'token_limit';
    default:
      return false;
  }
}
