/** The kinds of values that settings have. Each message completes the sentence "NAME …". */
import { isIP } from 'node:net';
import * as z from 'zod';
import { namePattern } from '../domain/identifier.ts';
import { Secret } from '../domain/secret.ts';

/** Where a server listens; port 0 lets the system choose. */
export interface ListenAddress {
  readonly host: string;
  readonly port: number;
}

const units = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/** `30s`, `10m`, `72h`; answers milliseconds. */
export const duration = readAs('must be a duration such as 30s, 10m or 72h', durationOf);

/** As `duration`, or `0` for ever: answers 0 then. */
export const durationOrForEver = readAs('must be a duration such as 400d, or 0 for ever', (text) =>
  text === '0' ? 0 : durationOf(text),
);

/** `127.0.0.1:8080`, `[::1]:8080`, `localhost:0`. */
export const listenAddress = readAs<ListenAddress>(
  'must be an address such as 127.0.0.1:8080 or [::1]:8080',
  (text) => {
    const match = /^(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9.-]+)):(\d{1,5})$/.exec(text);
    const host = match?.[1] ?? match?.[2];
    const port = Number(match?.[3]);
    if (!host || port > 65_535 || (match?.[1] !== undefined && isIP(host) !== 6)) return undefined;
    return { host, port };
  },
);

/** Networks in CIDR notation or single addresses, separated by commas; empty where there are none. */
export const networks = readAs<readonly string[]>(
  'must be a list of networks such as 10.0.0.0/8,2001:db8::/32',
  (text) => {
    const list = text.split(',').map((part) => part.trim());
    return list.every(isNetwork) ? list : undefined;
  },
);

/** https anywhere, http to loopback only; kept as it is written, because issuers are compared letter by letter. */
export const url = readAs('must be an https:// URL (http:// only to 127.0.0.1, [::1] or localhost)', (text) =>
  isProtectedUrl(text) ? text : undefined,
);

/** https and nothing else, without a user or a fragment. */
export const httpsUrl = readAs('must be an https:// URL', (text) =>
  isProtectedUrl(text) && new URL(text).protocol === 'https:' ? text : undefined,
);

/** As `url`, without path, query and user; answers it without the final slash. */
export const origin = readAs(
  'must be an https:// address without a path, such as https://broker.example.com (http:// only for 127.0.0.1, [::1] or localhost)',
  (text) => {
    if (!isProtectedUrl(text)) return undefined;
    const parsed = new URL(text);
    return parsed.origin === text.replace(/\/$/, '') ? parsed.origin : undefined;
  },
);

/** A connection string; it may hold a password and is therefore kept out of sight. */
export function connectionString(...schemes: readonly string[]): z.ZodType<Secret<string>, string> {
  return readAs(`must be a URL that begins with ${schemes.map((scheme) => `${scheme}://`).join(' or ')}`, (text) =>
    URL.canParse(text) && schemes.includes(new URL(text).protocol.slice(0, -1)) ? new Secret(text) : undefined,
  );
}

export const name = readAs('must be a name of small letters, digits and hyphens, at most 40 long', (text) =>
  namePattern.test(text) ? text : undefined,
);

/** Names, separated by commas; each once. */
export const names = readAs<readonly string[]>('must be a list of names such as eu,us-east', (text) => {
  const list = text.split(',').map((part) => part.trim());
  return list.every((part) => namePattern.test(part)) ? [...new Set(list)] : undefined;
});

/** A trust domain (SPIFFE ID standard §2.1). */
export const trustDomain = readAs('must be a SPIFFE trust domain such as token-broker.internal', (text) =>
  /^[a-z0-9._-]{1,255}$/.test(text) ? text : undefined,
);

/** Where a secrets engine is mounted, without slashes at the ends. */
export const mountPath = readAs(
  'must be a mount path such as transit or team/transit, without / at the ends',
  (text) => (/^[A-Za-z0-9_-]+(?:\/[A-Za-z0-9_-]+)*$/.test(text) ? text : undefined),
);

export const path = readAs('must be a path', (text) => (text.includes('\0') ? undefined : text));

export const text = readAs('must be text without spaces at the ends', (value) =>
  value.trim() === value ? value : undefined,
);

/** A secret in the environment: only where a convention of others wants it there (`VAULT_TOKEN`). */
export const secret = readAs('must not be blank', (value) =>
  value.trim() === '' ? undefined : new Secret(value.trim()),
);

/** A whole number within bounds. */
export function count(least: number, most: number): z.ZodType<number, string> {
  return readAs(`must be a whole number from ${least} to ${most}`, (value) => {
    const number = /^\d{1,9}$/.test(value) ? Number(value) : Number.NaN;
    return number >= least && number <= most ? number : undefined;
  });
}

/** One of a few words. */
export function oneOf<const T extends readonly string[]>(...words: T): z.ZodType<T[number], string> {
  return readAs(`must be one of ${words.join(', ')}`, (value) => words.find((word) => word === value));
}

function durationOf(text: string): number | undefined {
  const match = /^([1-9]\d{0,8})(ms|s|m|h|d)$/.exec(text);
  return match ? Number(match[1]) * units[match[2] as keyof typeof units] : undefined;
}

function readAs<T>(message: string, read: (text: string) => T | undefined): z.ZodType<T, string> {
  return z.string().transform((value, context) => {
    const result = read(value);
    if (result !== undefined) return result;
    context.addIssue(message);
    return z.NEVER;
  });
}

function isProtectedUrl(value: string): boolean {
  if (!URL.canParse(value)) return false;
  const { protocol, hostname, username, password, hash } = new URL(value);
  if (username !== '' || password !== '' || hash !== '') return false;
  return protocol === 'https:' || (protocol === 'http:' && isLoopbackHost(hostname));
}

/** Tells whether a URL's host is this machine itself. `[::1]` has its brackets, as in `URL.hostname`. */
export function isLoopbackHost(host: string): boolean {
  return host === 'localhost' || host === '[::1]' || /^127(?:\.\d{1,3}){3}$/.test(host);
}

function isNetwork(value: string): boolean {
  const [address = '', bits, ...more] = value.split('/');
  const family = isIP(address);
  if (family === 0 || more.length > 0) return false;
  return bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= (family === 4 ? 32 : 128));
}
