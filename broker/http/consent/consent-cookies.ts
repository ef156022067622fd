/**
 * The two cookies of a consent, each of ten minutes and for one attempt: several consents in several tabs do not disturb
 * each other (people with five channels open five links).
 *
 * - `consent-KEY` binds the attempt to this browser (RFC 9700 §4.7): only here can Google's answer be used.
 * - `consent-result-KEY` carries the result from the callback to the page that shows it.
 *
 * KEY is a hash of `state`: it is in the URL of the result page, while `state` itself goes nowhere else.
 *
 * Over https both have the prefix `__Host-`: the browser takes them from this very host over TLS only, so no sibling
 * domain can plant one. The prefix needs `Secure`, and not every client keeps a `Secure` cookie of plain http, not even
 * of loopback (Chromium does, Safari and curl do not). Where the public URL is http, which the configuration allows for
 * this machine itself only, both go without prefix and `Secure`.
 */
import { createHash } from 'node:crypto';
import { parseCookie, stringifySetCookie } from 'cookie';
import { Secret } from '../../domain/secret.ts';
import { type ConsentResult, readResult, writeResult } from './consent-result.ts';

const lifetimeSeconds = 600;

/** What the browser keeps while the owner is at Google. */
export interface Attempt {
  readonly browserSecret: Secret<string>;
  /** The consent link's secret, to offer another try; the browser has it in its history anyway. */
  readonly link: Secret<string>;
}

export interface ConsentCookies {
  /** Each writer answers one `Set-Cookie` header. */
  writeAttempt(key: string, attempt: Attempt): string;
  clearAttempt(key: string): string;
  writeResult(key: string, result: ConsentResult): string;
  readAttempt(header: string | undefined, key: string): Attempt | undefined;
  readResult(header: string | undefined, key: string): ConsentResult | undefined;
}

/** The key of an attempt; also where there is no state, as an answer may lack it. */
export function attemptKey(state: string | null): string {
  return createHash('sha256')
    .update(state ?? '')
    .digest('base64url')
    .slice(0, 16);
}

/** @param publicUrl origin under which browsers reach us. */
export function createConsentCookies(publicUrl: string): ConsentCookies {
  const secure = publicUrl.startsWith('https:');
  const prefix = secure ? '__Host-consent' : 'consent';
  const set = (name: string, value: string, maxAge = lifetimeSeconds): string =>
    stringifySetCookie({ name, value, maxAge, path: '/', httpOnly: true, sameSite: 'lax', secure });
  const get = (header: string | undefined, name: string): string | undefined => parseCookie(header ?? '')[name];

  return {
    writeAttempt: (key, { browserSecret, link }) =>
      set(`${prefix}-${key}`, `${browserSecret.reveal()}.${link.reveal()}`),
    clearAttempt: (key) => set(`${prefix}-${key}`, '', 0),
    writeResult: (key, result) => set(`${prefix}-result-${key}`, writeResult(result)),
    readAttempt: (header, key) => {
      const [, browserSecret, link] =
        /^([\w-]{20,128})\.([\w-]{20,128})$/.exec(get(header, `${prefix}-${key}`) ?? '') ?? [];
      return browserSecret && link ? { browserSecret: new Secret(browserSecret), link: new Secret(link) } : undefined;
    },
    readResult: (header, key) => {
      const value = get(header, `${prefix}-result-${key}`);
      return value === undefined ? undefined : readResult(value);
    },
  };
}
