/** What a URL of the native interface asks for. */
import type { OwnCode } from '../errors.ts';
import type { TokenWish } from '../token-policy.ts';

const CHANNELS = '/v1/channels';
const PATH = /^\/v1\/channels\/([A-Za-z0-9_-]{1,64})\/(token|rejected|oauthtoken)$/;
/** Google's tokens live for an hour; this leaves the broker time to bring one. */
const LONGEST_MIN_TTL = 3_300;

export type NativeRequest =
  | { readonly kind: 'channels' }
  | { readonly kind: 'token'; readonly wish: TokenWish }
  | { readonly kind: 'rejected' | 'oauthtoken'; readonly channelId: string };

type Unreadable = Extract<OwnCode, 'NOT_FOUND' | 'INVALID_REQUEST'>;

/** Reads a URL, or says why it cannot be asked. */
export function readNativeUrl(url: string): NativeRequest | Unreadable {
  if (!url.startsWith('/')) return 'NOT_FOUND';
  const { pathname, searchParams } = new URL(`http://sidecar${url}`);
  if (pathname === CHANNELS) return searchParams.size === 0 ? { kind: 'channels' } : 'INVALID_REQUEST';
  const [, channelId, kind] = PATH.exec(pathname) ?? [];
  if (channelId === undefined) return 'NOT_FOUND';
  if (kind === 'token') return readWish(channelId, searchParams);
  if (searchParams.size > 0) return 'INVALID_REQUEST';
  return { kind: kind === 'rejected' ? 'rejected' : 'oauthtoken', channelId };
}

function readWish(channelId: string, parameters: URLSearchParams): NativeRequest | 'INVALID_REQUEST' {
  for (const name of parameters.keys()) if (name !== 'min_ttl' && name !== 'scope') return 'INVALID_REQUEST';
  const minTtl = parameters.getAll('min_ttl');
  if (minTtl.length > 1 || !minTtl.every((text) => /^\d{1,4}$/.test(text))) return 'INVALID_REQUEST';
  const minTtlSeconds = Number(minTtl[0] ?? 0);
  if (minTtlSeconds > LONGEST_MIN_TTL) return 'INVALID_REQUEST';
  const scopes = parameters.getAll('scope').flatMap((text) => text.split(' ').filter(Boolean));
  return { kind: 'token', wish: { channelId, minTtlSeconds, scopes } };
}

/** Where a credential file sends Google's libraries. */
export function oauthTokenPath(channelId: string): string {
  return `${CHANNELS}/${channelId}/oauthtoken`;
}
