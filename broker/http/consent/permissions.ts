/** What the scopes mean for a channel owner, in words. */

interface Permission {
  /** Completes "This lets them …". */
  readonly lets: string;
  /** How Google's own page names it, so that the owner finds its tick box. */
  readonly short: string;
  /** Whether nothing can be changed or deleted with it. */
  readonly harmless: boolean;
}

const youtube = 'https://www.googleapis.com/auth/youtube';
const email: Permission = {
  lets: 'see that account’s e-mail address, so that Google can warn us if the account is ever in danger',
  short: 'see your e-mail address',
  harmless: true,
};
const profile: Permission = {
  lets: 'see that account’s name and picture',
  short: 'see your name and picture',
  harmless: true,
};

/** In the order in which an owner reads them. */
const permissions: Readonly<Record<string, Permission>> = {
  [youtube]: {
    lets: 'manage your YouTube account: also change and delete videos and playlists',
    short: 'manage your YouTube account',
    harmless: false,
  },
  [`${youtube}.force-ssl`]: {
    lets: 'see, edit and permanently delete your videos, ratings, comments and captions',
    short: 'see, edit and delete your videos, ratings, comments and captions',
    harmless: false,
  },
  [`${youtube}.upload`]: { lets: 'upload videos to your channel', short: 'upload videos', harmless: true },
  [`${youtube}.readonly`]: {
    lets: 'see your channel and its videos, to be sure it is the right channel',
    short: 'view your YouTube account',
    harmless: true,
  },
  openid: {
    lets: 'know which Google Account you choose, so that no other can take its place later',
    short: 'know which Google Account you chose',
    harmless: true,
  },
  email,
  'https://www.googleapis.com/auth/userinfo.email': email,
  profile,
  'https://www.googleapis.com/auth/userinfo.profile': profile,
};

/** What each scope lets the tenant do, weightiest first; a scope that we have no words for is shown as it is. */
export function explainScopes(scopes: readonly string[]): readonly string[] {
  const known = Object.keys(permissions);
  const place = (scope: string): number => known.indexOf(scope);
  const texts = scopes
    .toSorted((a, b) => place(a) - place(b))
    .map((scope) => permissions[scope]?.lets ?? `use the permission ${scope}`);
  return [...new Set(texts)];
}

/** Short names of scopes, for a sentence. */
export function nameScopes(scopes: readonly string[]): readonly string[] {
  return [...new Set(scopes.map((scope) => permissions[scope]?.short ?? scope))];
}

/** Tells whether nothing on the channel can be changed or deleted with these scopes. */
export function areHarmless(scopes: readonly string[]): boolean {
  return scopes.every((scope) => permissions[scope]?.harmless === true);
}
