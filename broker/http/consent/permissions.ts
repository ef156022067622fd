/** What the scopes mean for a channel owner, in words. */

interface Permission {
  /** Completes "This lets them …". */
  readonly lets: string;
  /** How Google's own page names it, so that the owner finds its tick box. */
  readonly google: string;
  /** Whether something on the channel can be deleted with it. */
  readonly deletes: boolean;
}

const youtube = 'https://www.googleapis.com/auth/youtube';
const email: Permission = {
  lets: 'see that account’s e-mail address, so that Google can warn us if the account is ever in danger',
  google: 'See your primary Google Account email address',
  deletes: false,
};
const profile: Permission = {
  lets: 'see that account’s name and picture',
  google: 'See your personal info, including any personal info you’ve made publicly available',
  deletes: false,
};

/** In the order in which an owner reads them. */
const permissions: Readonly<Record<string, Permission>> = {
  [youtube]: {
    lets: 'manage your YouTube account: also change and delete videos and playlists',
    google: 'Manage your YouTube account',
    deletes: true,
  },
  [`${youtube}.force-ssl`]: {
    lets: 'see, edit and permanently delete your videos, ratings, comments and captions',
    google: 'See, edit, and permanently delete your YouTube videos, ratings, comments and captions',
    deletes: true,
  },
  [`${youtube}.upload`]: {
    lets: 'upload videos to your channel and set preview pictures',
    google: 'Manage your YouTube videos',
    deletes: false,
  },
  [`${youtube}.readonly`]: {
    lets: 'see your channel and its videos, to be sure it is the right channel',
    google: 'View your YouTube account',
    deletes: false,
  },
  openid: {
    lets: 'know which Google Account you choose, so that no other can take its place later',
    google: 'Associate you with your personal info on Google',
    deletes: false,
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

/** What Google's page calls the scopes. */
export function nameScopes(scopes: readonly string[]): readonly string[] {
  return [...new Set(scopes.map((scope) => permissions[scope]?.google ?? scope))];
}

/** Tells whether it is certain that nothing on the channel can be deleted with these scopes. */
export function deleteNothing(scopes: readonly string[]): boolean {
  return scopes.every((scope) => permissions[scope]?.deletes === false);
}
