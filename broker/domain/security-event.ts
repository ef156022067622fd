/**
 * Google's security events (Cross-Account Protection, RISC): what a security event token says (RFC 8417), in Google's
 * own form and in RFC 9493's, and what each event does here. docs/security-events.md has the reasons.
 */
import { reasonsTold } from './grant-end.ts';
import { namedPrefixLength, tokenPrefixHash } from './identifier.ts';

/** What an event does to each channel that it concerns. */
export type SecurityEventAct =
  /** Google says that this very refresh token is revoked: the grant has ended. */
  | 'end'
  /** Something may have ended: Google's token endpoint is asked now. */
  | 'prove'
  /** The same of a grant that has ended with its account: it may live again. */
  | 'wake'
  /** Nothing of ours can have ended: it goes on record. */
  | 'note';

/** Every type that is known, by the last part of its URI. */
const acts: Readonly<Record<string, SecurityEventAct>> = {
  'token-revoked': 'end',
  'tokens-revoked': 'prove',
  'sessions-revoked': 'prove',
  'account-disabled': 'prove',
  'account-enabled': 'prove',
  'account-credential-change-required': 'note',
};
const knownTypes = /^https:\/\/schemas\.openid\.net\/secevent\/(?:risc|oauth)\/event-type\/([a-z-]{1,64})$/;

/** Whom an event is about. */
export type SecurityEventSubject =
  | { readonly by: 'token-hash'; readonly refreshTokenHash: string }
  | { readonly by: 'token-prefix'; readonly refreshTokenPrefixHash: string }
  | { readonly by: 'account'; readonly googleSubject: string };

export interface SecurityEvent {
  /** Last part of the type's URI; the whole URI, cut, where it is not known. */
  readonly type: string;
  /** Undefined for a type that is not known, for a verification, and for a kind of token that we have none of. */
  readonly concerns: { readonly subject: SecurityEventSubject; readonly act: SecurityEventAct } | undefined;
  /** Why an account was disabled. */
  readonly reason: string | undefined;
  /** The text that a verification brings back. */
  readonly state: string | undefined;
}

export interface SecurityEventToken {
  readonly jti: string;
  readonly issuedAt: Date;
  readonly events: readonly SecurityEvent[];
}

type Claims = Readonly<Record<string, unknown>>;

/** Thrown where claims are not those of a security event token, with what is wrong; never quotes them. */
export class MalformedSecurityEvent extends Error {}

/**
 * Reads the claims of a token whose signature, issuer and audience were checked.
 *
 * @param issuer Google's name for itself; accounts of another issuer are refused
 */
export function readSecurityEventToken(claims: Claims, issuer: string): SecurityEventToken {
  const { jti, iat, events, sub_id: subjectOfAll } = claims;
  if (typeof jti !== 'string' || jti.length < 1 || jti.length > 256)
    throw new MalformedSecurityEvent('jti is missing or too long');
  if (typeof iat !== 'number' || !(iat > 0) || iat > 1e11)
    throw new MalformedSecurityEvent('iat is missing or no time');
  if (!isObject(events) || Object.keys(events).length === 0)
    throw new MalformedSecurityEvent('events is missing or empty');
  if (Object.keys(events).length > 10) throw new MalformedSecurityEvent('events are more than ten');
  const read = Object.entries(events).map(([uri, details]) => {
    if (!isObject(details)) throw new MalformedSecurityEvent('an event is not an object');
    return readEvent(uri, details, details.subject ?? subjectOfAll, issuer);
  });
  return { jti, issuedAt: new Date(iat * 1000), events: read };
}

function readEvent(uri: string, details: Claims, subject: unknown, issuer: string): SecurityEvent {
  const type = knownTypes.exec(uri)?.[1];
  const act = type === undefined ? undefined : acts[type];
  const found = act && readSubject(subject, issuer);
  return {
    type: type ?? uri.slice(0, 128),
    concerns: act && found && { subject: found, act: found.by === 'token-hash' || act !== 'end' ? act : 'prove' },
    reason: textOf(details.reason),
    state: textOf(details.state),
  };
}

/** Google's `subject_type`, or RFC 9493's `format`, which writes the same names with underscores. */
function readSubject(subject: unknown, issuer: string): SecurityEventSubject | undefined {
  if (!isObject(subject)) throw new MalformedSecurityEvent('an event has no subject');
  const kind = String(subject.subject_type ?? subject.format ?? '').replaceAll('-', '_');
  switch (kind) {
    case 'iss_sub':
    case 'id_token_claims':
      return { by: 'account', googleSubject: readAccount(subject, issuer) };
    case 'oauth_token':
      return readToken(subject);
    default:
      throw new MalformedSecurityEvent('an event has a subject of an unknown kind');
  }
}

function readAccount({ iss, sub }: Claims, issuer: string): string {
  if (typeof sub !== 'string' || sub.length < 1 || sub.length > 255)
    throw new MalformedSecurityEvent('a subject has no sub');
  // ID tokens write the issuer without the slash that security events have, and once more without the scheme.
  const bare = (name: string) => name.replace(/^https:\/\//, '').replace(/\/$/, '');
  if (typeof iss !== 'string' || bare(iss) !== bare(issuer))
    throw new MalformedSecurityEvent('a subject is of another issuer');
  return sub;
}

/** Undefined for an access token: those end by themselves. */
function readToken({
  token_type: type,
  token_identifier_alg: algorithm,
  token,
}: Claims): SecurityEventSubject | undefined {
  if (typeof token !== 'string' || token.length < 1 || token.length > 512)
    throw new MalformedSecurityEvent('a subject names no token');
  if (type !== 'refresh_token') return undefined;
  if (algorithm === 'hash_base64_sha512_sha512') {
    return { by: 'token-hash', refreshTokenHash: Buffer.from(token, 'base64').toString('base64') };
  }
  if (algorithm === 'prefix' && token.length === namedPrefixLength) {
    return { by: 'token-prefix', refreshTokenPrefixHash: tokenPrefixHash(token) };
  }
  throw new MalformedSecurityEvent('a subject names its token in an unknown way');
}

/** Whether an event of this type tells why a grant ended. */
export function tellsWhy(type: string): boolean {
  return type in reasonsTold;
}

/** Google's clock and ours, and the time between a consent at Google and its end here. */
const toleranceMs = 60_000;

/** A grant that is younger than the event is another one: the consent after a revocation is not touched by it. */
export function youngestConcerned(issuedAt: Date): Date {
  return new Date(issuedAt.getTime() + toleranceMs);
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' ? value.slice(0, 256) : undefined;
}

function isObject(value: unknown): value is Claims {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
