import type { ClientSecret, Clock, OAuthClientSecrets } from '../ports.ts';

/** A secret that Google refused is tried last for so long; then it gets another chance. */
const refusedForMs = 5 * 60_000;

/**
 * Answers a client's secrets in the order in which they are worth a try. Whoever asks for the next one says by that
 * that Google refused the one before (`invalid_client`); whoever stops says nothing.
 *
 * The newest first; where it is refused, what Vault holds now (an operator may have replaced it a moment ago); then the
 * former ones. Refused ones are remembered, so that not every refresh begins with a secret that Google does not know.
 */
export function createSecretsToTry(deps: { secrets: OAuthClientSecrets; clock: Clock }) {
  const { secrets, clock } = deps;
  /** `client version` → until when it is tried last */
  const refused = new Map<string, number>();

  return async function* secretsToTry(oauthClient: string): AsyncGenerator<ClientSecret, void, void> {
    const tried = new Set<number>();
    const keyOf = ({ version }: ClientSecret) => `${oauthClient} ${version}`;
    const isRefused = (secret: ClientSecret) => (refused.get(keyOf(secret)) ?? 0) > clock.now().getTime();

    async function* attempt(secret: ClientSecret): AsyncGenerator<ClientSecret, void, void> {
      if (tried.has(secret.version)) return;
      tried.add(secret.version);
      refused.delete(keyOf(secret));
      yield secret;
      refused.set(keyOf(secret), clock.now().getTime() + refusedForMs);
    }

    const known = await secrets.newest(oauthClient);
    if (!isRefused(known)) yield* attempt(known);
    const newest = tried.size > 0 ? await secrets.newestAfter(oauthClient, known) : known;
    if (!isRefused(newest)) yield* attempt(newest);
    const former = await secrets.former(oauthClient);
    for (const secret of former) if (!isRefused(secret)) yield* attempt(secret);
    // All that is left was refused lately.
    yield* attempt(await secrets.newestAfter(oauthClient, newest));
    for (const secret of former) yield* attempt(secret);
  };
}
