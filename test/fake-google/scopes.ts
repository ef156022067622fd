/** Google's scopes as far as a YouTube upload needs them: which exist, which are for signing in, which open which door. */

const google = 'https://www.googleapis.com/auth/';

/** YouTube's scopes by short names. */
export const youtubeScope = {
  all: `${google}youtube`,
  forceSsl: `${google}youtube.force-ssl`,
  readonly: `${google}youtube.readonly`,
  upload: `${google}youtube.upload`,
  partner: `${google}youtubepartner`,
  channelAudit: `${google}youtubepartner-channel-audit`,
} as const;

/** `channels.list` takes any of these; `youtube.upload` alone cannot identify a channel (reference Y2). */
export const channelListScopes: readonly string[] = [
  youtubeScope.all,
  youtubeScope.forceSsl,
  youtubeScope.readonly,
  youtubeScope.partner,
  youtubeScope.channelAudit,
];

/** `videos.insert` takes any of these (reference Y3). */
export const videoInsertScopes: readonly string[] = [
  youtubeScope.all,
  youtubeScope.forceSsl,
  youtubeScope.upload,
  youtubeScope.partner,
];

/** What the scope `email` is called in Google's answers. */
export const emailScope = `${google}userinfo.email`;
/** What the scope `profile` is called in Google's answers. */
export const profileScope = `${google}userinfo.profile`;

/** Google reports `email` and `profile` under their long names. */
const longNames: Readonly<Record<string, string>> = { email: emailScope, profile: profileScope };
const signInScopes: readonly string[] = ['openid', emailScope, profileScope];

/** The scopes of a request, long-named, without repetition. */
export function parseScopes(scope: string): readonly string[] {
  const names = scope.split(' ').filter((name) => name !== '');
  return [...new Set(names.map((name) => longNames[name] ?? name))];
}

/** Tells whether Google knows `scope` at all. */
export function isKnownScope(scope: string): boolean {
  return signInScopes.includes(scope) || scope.startsWith(google);
}

/** Tells whether `scope` is asked for on the sign-in page and not on the granular one (reference G18). */
export function isSignInScope(scope: string): boolean {
  return signInScopes.includes(scope);
}

/** The `scope` of a token response: the same set, in an order of Google's own (reference G18). */
export function formatScopes(scopes: readonly string[]): string {
  return [...scopes].sort().join(' ');
}

/** The `scope` of a callback: like a token response, and the short names of the sign-in scopes as well. */
export function formatCallbackScopes(scopes: readonly string[]): string {
  const shortNames = Object.entries(longNames).filter(([, long]) => scopes.includes(long));
  return [...shortNames.map(([short]) => short), ...[...scopes].sort()].join(' ');
}

const explanations: Readonly<Record<string, string>> = {
  openid: 'Know who you are at the practice Google',
  [emailScope]: 'See your primary e-mail address',
  [profileScope]: 'See your name and picture',
  [youtubeScope.all]: 'Manage your YouTube account',
  [youtubeScope.forceSsl]: 'See, edit and permanently delete your YouTube videos, ratings, comments and captions',
  [youtubeScope.readonly]: 'View your YouTube account',
  [youtubeScope.upload]: 'Manage your YouTube videos (upload)',
  [youtubeScope.partner]: 'View and manage your assets and associated content on YouTube',
  [youtubeScope.channelAudit]: 'View private information of your YouTube channel relevant to an audit',
};

/** Says in plain words what `scope` permits. */
export function explainScope(scope: string): string {
  return explanations[scope] ?? scope;
}
