/**
 * RISC, Google's Cross-Account Protection (reference G34–G37): signed security event tokens (RFC 8417) and their
 * delivery to the receiver that a project registered (RFC 8935).
 */
import { createHash } from 'node:crypto';
import { type Clock, second } from './clock.ts';
import type { Claims, SigningKey } from './jwt.ts';
import type { RandomNames } from './random.ts';
import { emailScope, profileScope } from './scopes.ts';
import type { TokenBook } from './tokens.ts';
import type { Identity, World } from './world.ts';

const risc = 'https://schemas.openid.net/secevent/risc/event-type/';
const oauth = 'https://schemas.openid.net/secevent/oauth/event-type/';

/** The event types that Google sends, by the name of their last part. */
export const securityEventTypes = {
  'token-revoked': `${oauth}token-revoked`,
  'tokens-revoked': `${oauth}tokens-revoked`,
  'sessions-revoked': `${risc}sessions-revoked`,
  'account-disabled': `${risc}account-disabled`,
  'account-enabled': `${risc}account-enabled`,
  'account-credential-change-required': `${risc}account-credential-change-required`,
  verification: `${risc}verification`,
} as const;

/** The last part of an event type. */
export type SecurityEventType = keyof typeof securityEventTypes;

/** One event to be delivered. */
export interface SecurityEvent {
  readonly project: string;
  readonly type: SecurityEventType;
  /** `sub` of the identity; for every type but `token-revoked` and `verification`. */
  readonly sub?: string;
  /** The refresh token of `token-revoked`; other kinds of token are never told about (reference G35). */
  readonly refreshToken?: string;
  /** How `token-revoked` names its token. Default: the double SHA-512. */
  readonly identifiedBy?: 'prefix' | 'hash_base64_sha512_sha512';
  readonly reason?: 'hijacking' | 'bulk-account';
  /** The text a `verification` event brings back. */
  readonly state?: string;
  /** Google's old form (`subject` with `subject_type`), or RFC 9493's `sub_id`. Default: Google's. */
  readonly form?: 'subject_type' | 'sub_id';
  /** Claims that replace the proper ones: another `aud`, a repeated `jti`, a wrong `iss`. */
  readonly claims?: Claims;
  /** Signs with a key that the JWKS does not have. */
  readonly forged?: boolean;
}

/** What became of a delivery. */
export interface Delivery {
  /** The signed token as it was posted. */
  readonly set: string;
  /** The receiver's status: 202 when it took the event. */
  readonly status: number;
  readonly body: string;
}

/** Delivery of events; one attempt each, as Google retries little and events may be lost. */
export interface SecurityEvents {
  /** Posts the event to the receiver that the project registered. Throws when there is none, or Google would send none. */
  deliver(event: SecurityEvent): Promise<Delivery>;
  /** Makes the signed token without posting it. */
  sign(event: SecurityEvent): Promise<string>;
  /** Registers a receiver without the management API. */
  register(project: string, stream: EventStream): void;
  stream(project: string): EventStream | undefined;
}

/** Where a project wants which events; `events` are full event-type URIs. */
export interface EventStream {
  readonly url: string;
  readonly events: readonly string[];
}

/** Names a refresh token as `token-revoked` does (reference G35). */
export function tokenIdentifier(refreshToken: string, algorithm: 'prefix' | 'hash_base64_sha512_sha512'): string {
  if (algorithm === 'prefix') return refreshToken.slice(0, 16);
  const once = createHash('sha512').update(refreshToken).digest();
  return createHash('sha512').update(once).digest('base64');
}

/** Google's issuer of security events is that of its ID tokens with a slash behind it (reference G37). */
export function securityEventIssuer(issuer: string): string {
  return `${issuer.replace(/\/$/, '')}/`;
}

/** What security events are made from. */
export interface SecurityEventParts {
  readonly clock: Clock;
  readonly world: World;
  readonly tokens: TokenBook;
  readonly names: RandomNames;
  /** Issuer of security events; see {@link securityEventIssuer}. */
  readonly issuer: string;
  readonly signingKey: SigningKey;
  /** A key that is published nowhere. */
  readonly forgersKey: SigningKey;
}

/** Creates the sender. */
export function createSecurityEvents(parts: SecurityEventParts): SecurityEvents {
  const { clock, world, tokens, names, issuer, signingKey, forgersKey } = parts;
  const streams = new Map<string, EventStream>();

  function claimsOf(event: SecurityEvent): Claims {
    const { type, reason, state, form = 'subject_type' } = event;
    const subject = type === 'verification' ? undefined : subjectOf(event, form);
    const details = {
      ...(reason === undefined ? {} : { reason }),
      ...(state === undefined ? {} : { state }),
      ...(subject && form === 'subject_type' ? { subject } : {}),
    };
    return {
      iss: issuer,
      aud: world.clientsOf(event.project).map(({ clientId }) => clientId),
      iat: Math.floor(clock.now() / second),
      jti: names.identifier(),
      ...(subject && form === 'sub_id' ? { sub_id: subject } : {}),
      events: { [securityEventTypes[type]]: details },
      ...event.claims,
    };
  }

  function subjectOf(event: SecurityEvent, form: 'subject_type' | 'sub_id'): Claims {
    const kind = form === 'sub_id' ? 'format' : 'subject_type';
    if (event.type === 'token-revoked') {
      if (event.refreshToken === undefined) throw new Error('token-revoked names a refresh token');
      const algorithm = event.identifiedBy ?? 'hash_base64_sha512_sha512';
      return {
        [kind]: 'oauth_token',
        token_type: 'refresh_token',
        token_identifier_alg: algorithm,
        token: tokenIdentifier(event.refreshToken, algorithm),
      };
    }
    if (event.sub === undefined) throw new Error(`${event.type} names a subject`);
    return { [kind]: form === 'sub_id' ? 'iss_sub' : 'iss-sub', iss: issuer, sub: event.sub };
  }

  function concernedIdentity({ sub, refreshToken }: SecurityEvent): Identity | undefined {
    if (refreshToken !== undefined) return tokens.ownerOf(refreshToken)?.identity;
    return sub === undefined ? undefined : world.identity(sub);
  }

  /** Google tells only about owners who granted `email` or `profile` (reference G36). */
  function checkSentAtAll(event: SecurityEvent): void {
    const identity = concernedIdentity(event);
    if (!identity) return;
    const told = tokens.consents.everGivenScopes(event.project, identity);
    if (!told.includes(emailScope) && !told.includes(profileScope)) {
      throw new Error('google sends no security events about an owner who granted neither email nor profile');
    }
  }

  const sign = (event: SecurityEvent) => (event.forged ? forgersKey : signingKey).sign(claimsOf(event), 'secevent+jwt');

  async function deliver(event: SecurityEvent): Promise<Delivery> {
    const stream = streams.get(event.project);
    if (!stream) throw new Error(`project ${event.project} has registered no receiver for security events`);
    if (event.type !== 'verification' && !stream.events.includes(securityEventTypes[event.type])) {
      throw new Error(`project ${event.project} did not ask for ${event.type}`);
    }
    checkSentAtAll(event);
    const set = await sign(event);
    const response = await fetch(stream.url, {
      method: 'POST',
      headers: { 'content-type': 'application/secevent+jwt', accept: 'application/json' },
      body: set,
    });
    return { set, status: response.status, body: await response.text() };
  }

  return {
    sign,
    deliver,
    register: (project, stream) => void streams.set(project, stream),
    stream: (project) => streams.get(project),
  };
}
