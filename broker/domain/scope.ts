/** OAuth scopes: what we ask for, and whether what came back is enough. */

const aliases: Readonly<Record<string, string>> = {
  email: 'https://www.googleapis.com/auth/userinfo.email',
  profile: 'https://www.googleapis.com/auth/userinfo.profile',
};

/** What a consent asks for unless the channel says otherwise: upload, know the channel, know the identity. */
export const defaultScopes: readonly string[] = [
  'https://www.googleapis.com/auth/youtube.upload',
  'https://www.googleapis.com/auth/youtube.readonly',
  'openid',
  'email',
];

/** Without these the channel cannot be identified and pinned, so every consent asks for them. */
export const identifyingScopes: readonly string[] = ['https://www.googleapis.com/auth/youtube.readonly', 'openid'];

/** Splits a scope string (RFC 6749 §3.3: space-delimited, order without meaning). */
export function parseScopes(scope: string): readonly string[] {
  return [...new Set(scope.split(' ').filter((part) => part !== ''))];
}

/** The wanted scopes that were not granted. Google answers `email` and `profile` by their long names. */
export function missingScopes(wanted: readonly string[], granted: readonly string[]): readonly string[] {
  const names = new Set(granted.map(longName));
  return wanted.filter((scope) => !names.has(longName(scope)));
}

function longName(scope: string): string {
  return aliases[scope] ?? scope;
}
