/**
 * What an owner is told when a consent does not come about: what happened, and what to do. Written for somebody who
 * makes videos and has never heard of OAuth. One row per way; the admin sees the same as a code.
 */
import type { ConsentFailure } from '../../domain/consent.ts';
import type { ErrorCode } from '../../errors.ts';
import type { Mood } from '../pages/layout.ts';
import { nameScopes } from './permissions.ts';

export interface ConsentMessage {
  readonly mood: Mood;
  readonly title: string;
  readonly happened: string;
  /** What to do, first things first. */
  readonly todo: readonly string[];
}

/** What the texts may speak of; whatever is not known is spoken of in general words. */
export interface MessageFacts {
  readonly tenant?: string | undefined;
  readonly missingScopes?: readonly string[] | undefined;
  /** The YouTube channel that was chosen. */
  readonly youtubeTitle?: string | undefined;
  /** The YouTube channel that was connected before. */
  readonly pinnedTitle?: string | undefined;
}

const again = 'Start again.';
const later = 'Wait a few minutes, then start again. Nothing you did was wrong.';

const failures: Readonly<Record<ConsentFailure, (facts: MessageFacts) => ConsentMessage>> = {
  denied: ({ tenant }) => ({
    mood: 'attention',
    title: 'You did not give permission',
    happened: `You chose “Cancel” on Google’s page. Nothing was connected, and ${they(tenant)} cannot upload to your channel.`,
    todo: [
      'If that is what you wanted, you are done: close this page.',
      'If it was a slip, start again and choose “Continue” on Google’s page.',
    ],
  }),
  expired: () => ({
    mood: 'attention',
    title: 'That took a little too long',
    happened:
      'For your safety, Google’s answer must come within ten minutes. This one came later, so nothing was connected.',
    todo: ['Start again. It helps to be signed in to Google first.'],
  }),
  wrong_issuer: ({ tenant }) => ({
    mood: 'trouble',
    title: 'That answer did not come from Google',
    happened: 'An answer came back, but not from Google. For your safety we did not use it. Nothing was connected.',
    todo: [
      'Start again from the message with the link, and make sure that the page that asks for your password is at accounts.google.com.',
      `If you see this page again, stop and tell ${they(tenant)}.`,
    ],
  }),
  malformed_response: ({ tenant }) => ({
    mood: 'trouble',
    title: 'Google’s answer was damaged',
    happened: 'Something between Google and us changed the answer, so we could not use it. Nothing was connected.',
    todo: [
      again,
      `If it happens again, try another browser or switch off browser extensions, then tell ${they(tenant)}.`,
    ],
  }),
  scope_missing: ({ missingScopes = [] }) => ({
    mood: 'attention',
    title: missingScopes.length > 1 ? 'Some ticks were missing' : 'One tick was missing',
    happened: `On Google’s page this was left out: ${list(nameScopes(missingScopes))}. The connection cannot work without, so nothing was connected.`,
    todo: ['Start again and tick every box on Google’s page (“Select all”), then choose “Continue”.'],
  }),
  no_refresh_token: ({ tenant }) => ({
    mood: 'attention',
    title: 'Google’s permission was only for an hour',
    happened:
      'Google gave a permission that ends within the hour, so it is of no use for later uploads. Nothing was connected.',
    todo: [
      again,
      `If it happens again: open myaccount.google.com/connections, remove the entry by which Google lists ${they(tenant)}, and start again.`,
    ],
  }),
  other_account: ({ tenant, pinnedTitle }) => ({
    mood: 'attention',
    title: 'That was another Google Account',
    happened: `${pinnedTitle ? `“${pinnedTitle}”` : 'This channel'} was connected with another Google Account before. So that nobody can swap it unnoticed, we did not accept this one. The earlier connection is as it was.`,
    todo: [
      'Start again and choose the Google Account that you chose the first time.',
      `If the channel has moved to a new account for good, ask ${they(tenant)} to add it as a new channel.`,
    ],
  }),
  other_channel: ({ tenant, youtubeTitle, pinnedTitle }) => ({
    mood: 'attention',
    title: 'That was another channel',
    happened: `You chose ${youtubeTitle ? `“${youtubeTitle}”` : 'another channel'}, but this link is for ${pinnedTitle ? `“${pinnedTitle}”` : 'the channel that was connected before'}. We did not accept it. The earlier connection is as it was.`,
    todo: [
      `Start again and choose ${pinnedTitle ? `“${pinnedTitle}”` : 'the right channel'} when Google asks for an account or channel.`,
      `If you meant to connect ${youtubeTitle ? `“${youtubeTitle}”` : 'the other channel'} as well, ask ${they(tenant)} for a link of its own.`,
    ],
  }),
  no_channel: () => ({
    mood: 'attention',
    title: 'There is no YouTube channel there',
    happened: 'The Google Account you chose has no YouTube channel. Nothing was connected.',
    todo: [
      'Start again and choose the account or brand whose name and picture are those of your channel.',
      'If you have not made a channel yet, make one at youtube.com first; then use the link again.',
    ],
  }),
  several_channels: () => ({
    mood: 'attention',
    title: 'We cannot tell which channel you mean',
    happened:
      'Google named more than one channel for the account you chose. So that no video goes to the wrong one, nothing was connected.',
    todo: ['Start again and, in Google’s list, choose the entry with the name and picture of the channel itself.'],
  }),
  identity_unproven: ({ tenant }) => ({
    mood: 'trouble',
    title: 'Google did not confirm your account',
    happened: 'Google’s proof of which account you chose did not fit. For your safety nothing was connected.',
    todo: [again, `If it happens again, tell ${they(tenant)}.`],
  }),
  code_rejected: () => ({
    mood: 'attention',
    title: 'Google’s answer could not be used any more',
    happened:
      'Each answer of Google’s can be used only once and only for a short time. This one had run out, for example because a page was loaded twice. Nothing was connected.',
    todo: ['Start again, and let the pages follow each other without reloading or going back.'],
  }),
  google_unavailable: () => ({
    mood: 'trouble',
    title: 'Google is not answering',
    happened: 'You did everything right, but Google did not answer our last question. Nothing was connected.',
    todo: [later],
  }),
  google_refused: ({ tenant }) => ({
    mood: 'attention',
    title: 'Google does not allow this for your account',
    happened:
      'Google refused before you could decide. Mostly the account belongs to a company or school that does not allow outside applications, or it is not on the list of permitted accounts yet. Nothing was connected.',
    todo: [
      'If the account belongs to a company or school, ask its Google administrator to allow the application.',
      `Otherwise tell ${they(tenant)} which Google Account you use; they can have it permitted.`,
    ],
  }),
  client_rejected: ({ tenant }) => ({
    mood: 'trouble',
    title: 'Something is wrong on our side',
    happened:
      'Google does not recognise us at the moment. Your channel and your account are fine. Nothing was connected.',
    todo: [`Tell ${they(tenant)}. When it is mended, the same link works again.`],
  }),
  channel_closed: ({ tenant }) => ({
    mood: 'attention',
    title: 'This channel is not being connected any more',
    happened: `While you were at Google, the connection was ended or paused on our side. We used nothing of Google’s answer. Nothing was connected.`,
    todo: [`Ask ${they(tenant)} whether they still want to connect it. If so, they can send you a new link.`],
  }),
  overtaken: ({ tenant }) => ({
    mood: 'attention',
    title: 'Your channel was connected by another link',
    happened:
      'You gave your permission twice, by two links. One of them has connected the channel; this one was not needed any more.',
    todo: [`There is nothing to do. If you did not do that yourself, tell ${they(tenant)}.`],
  }),
  vault_unavailable: () => ({
    mood: 'trouble',
    title: 'We could not lock your permission away',
    happened:
      'We keep permissions under lock and key only. The place where we do that is not answering, so we kept nothing. Nothing was connected.',
    todo: [later],
  }),
};

/** What an owner is told about an error; those that are not listed are our trouble. */
const errors: Partial<Record<ErrorCode, ConsentMessage>> = {
  INVALID_CONSENT_LINK: {
    mood: 'attention',
    title: 'This link does not work any more',
    happened:
      'Each link connects one channel, once, and only for some days. Perhaps it has been used, has run out, or was cut off when it was copied.',
    todo: [
      'If you have just connected your channel, you are done.',
      'Check that you opened the whole link from the message.',
      'Otherwise ask the person who sent it for a new one.',
    ],
  },
  INVALID_REVOKE_LINK: {
    mood: 'attention',
    title: 'This link does not work any more',
    happened:
      'Each link disconnects one channel, once, and only for some days. Perhaps it has been used, has run out, or was cut off when it was copied.',
    todo: [
      'If you have just disconnected the channel, you are done.',
      'Check that you opened the whole link from the message.',
      'Otherwise ask the person who sent it for a new one, or remove the entry at myaccount.google.com/connections.',
    ],
  },
  REVOCATION_PLAN_CHANGED: {
    mood: 'attention',
    title: 'Something has changed meanwhile',
    happened:
      'What would end with this channel is not what the page showed you, so we did not go on. Nothing was disconnected.',
    todo: ['Open the link from the message again, and read what it says now.'],
  },
  INVALID_AUTHORIZATION_RESPONSE: {
    mood: 'attention',
    title: 'We cannot match Google’s answer to you',
    happened:
      'The answer does not belong to anything that was started in this browser, or it was used before. For your safety we did not use it.',
    todo: [
      'If you have just seen that your channel is connected, you are done.',
      'Otherwise open the link from the message again, and stay in the same browser until the end.',
      'If your browser blocks cookies, allow them for this page: one cookie, for ten minutes, knows that it is you who comes back.',
    ],
  },
  INVALID_REQUEST: {
    mood: 'attention',
    title: 'Please start from your link',
    happened: 'This page was opened from another website, so we did not go on.',
    todo: ['Open the link from the message you were sent.'],
  },
  NOT_FOUND: {
    mood: 'attention',
    title: 'There is nothing here',
    happened: 'This address shows nothing, or does not any longer.',
    todo: ['Open the link from the message you were sent.'],
  },
};

const trouble: ConsentMessage = {
  mood: 'trouble',
  title: 'We are having trouble',
  happened: 'Something on our side is not answering at the moment. Your channel is as it was.',
  todo: ['Wait a few minutes, then open the link from the message again. Nothing you did was wrong.'],
};

/** Every way a consent can fail. */
export const consentFailures = Object.keys(failures) as readonly ConsentFailure[];

export function isConsentFailure(text: string): text is ConsentFailure {
  return Object.hasOwn(failures, text);
}

export function messageForFailure(failure: ConsentFailure, facts: MessageFacts): ConsentMessage {
  return failures[failure](facts);
}

export function messageForError(code: ErrorCode): ConsentMessage {
  return errors[code] ?? trouble;
}

function they(tenant: string | undefined): string {
  return tenant ?? 'the person who sent you the link';
}

/** `“a”`, `“a” and “b”`, `“a”, “b” and “c”`. */
function list(names: readonly string[]): string {
  return new Intl.ListFormat('en-GB').format(names.map((name) => `“${name}”`)) || 'a permission';
}
