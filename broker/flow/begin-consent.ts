import { auditRecord } from '../domain/audit-record.ts';
import type { Owner } from '../domain/caller.ts';
import { verifierGeneration } from '../domain/consent.ts';
import { hashSecret, newSecret, type RandomBytes } from '../domain/identifier.ts';
import type { Secret } from '../domain/secret.ts';
import { BrokerError } from '../errors.ts';
import type { AuthorizationServer, TenantKeys } from '../ports.ts';
import { type InvitationDeps, openInvitation } from './view-consent.ts';

/** An owner at Google has this long to decide (RFC 9700 leaves it to us). */
const requestTtlMs = 10 * 60_000;

export interface BegunConsent {
  /** Where the owner's browser goes now. */
  readonly authorizationUrl: string;
  /** To be kept in that browser's cookie: only it can bring the answer back. */
  readonly browserSecret: Secret<string>;
  readonly expiresAt: Date;
}

/**
 * Starts the authorization request: PKCE (RFC 7636), a state and a nonce that cannot be guessed, bound to one browser.
 * The database keeps hashes of state and cookie, and the verifier only as ciphertext of the tenant's key.
 */
export function createBeginConsent(
  deps: InvitationDeps & { keys: TenantKeys; google: AuthorizationServer; random: RandomBytes },
) {
  const { store, keys, google, clock, random } = deps;

  return async (caller: Owner, input: { link: Secret<string> }): Promise<BegunConsent> => {
    const { consent, channel } = await openInvitation(deps, caller, input.link);
    const client = await store.oauthClients.find(consent.oauthClient);
    if (!client) throw new BrokerError('OAUTH_CLIENT_NOT_FOUND', { detail: consent.oauthClient });
    if (client.disabledAt) throw new BrokerError('OAUTH_CLIENT_DISABLED', { detail: client.name });

    const now = clock.now();
    const state = newSecret(random);
    const browserSecret = newSecret(random);
    const codeVerifier = newSecret(random);
    const nonce = newSecret(random).reveal();
    const request = {
      stateHash: hashSecret(state),
      browserHash: hashSecret(browserSecret),
      codeVerifierEncrypted: await keys.encrypt(
        { tenant: channel.tenant, channel: channel.id, generation: verifierGeneration },
        codeVerifier,
      ),
      nonce,
      startedAt: now,
      expiresAt: new Date(now.getTime() + requestTtlMs),
      takenAt: undefined,
    };
    const target = { tenant: channel.tenant, channel: channel.id };
    const facts = { consent: consent.id, userAgent: caller.userAgent?.slice(0, 200) ?? '' };
    await store.consents.begin(consent.id, request, auditRecord(now, caller, 'consent.begin', 'ok', target, facts));

    const authorizationUrl = google.authorizationUrl({
      client,
      scopes: channel.requestedScopes,
      state,
      nonce,
      codeVerifier,
      // Google preselects the account; the chooser is shown all the same.
      loginHint: channel.grant?.googleSubject,
    });
    return { authorizationUrl, browserSecret, expiresAt: request.expiresAt };
  };
}
