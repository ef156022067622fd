/**
 * The authorization endpoint and the consent behind it: account → identity → sign-in scopes → other scopes → callback.
 * A consent in progress is asked one question after the other; `proceed` finds the next question still open.
 */

import {
  chooseAccountPage,
  chooseChannelPage,
  errorPage,
  type PageContext,
  permissionsPage,
  signInPage,
} from './authorization-page.ts';
import {
  AuthorizationPageError,
  type AuthorizationRequest,
  parseAuthorizationRequest,
} from './authorization-request.ts';
import { type Answer, type Endpoint, redirect } from './http.ts';
import type { RandomNames } from './random.ts';
import { formatCallbackScopes, isSignInScope } from './scopes.ts';
import type { TokenBook } from './tokens.ts';
import type { Account, Identity, World } from './world.ts';

interface PendingConsent {
  readonly request: AuthorizationRequest;
  account: Account | undefined;
  identity: Identity | undefined;
  signInAccepted: boolean;
  grantedScopes: readonly string[] | undefined;
}

/** The two endpoints of a consent. */
export interface Authorization {
  /** `GET /o/oauth2/v2/auth` */
  readonly begin: Endpoint;
  /** `POST /o/oauth2/consent`: an answer to the page shown last. */
  readonly step: Endpoint;
}

/** Creates the endpoints; `issuer` is what the callback's `iss` says (RFC 9207). */
export function createAuthorization({
  world,
  tokens,
  names,
  issuer,
}: {
  world: World;
  tokens: TokenBook;
  names: RandomNames;
  issuer: string;
}): Authorization {
  const pending = new Map<string, PendingConsent>();

  function begin(query: URLSearchParams): Answer {
    const request = parseAuthorizationRequest(query, world);
    const flow = names.identifier();
    const consent: PendingConsent = {
      request,
      account: undefined,
      identity: undefined,
      signInAccepted: false,
      grantedScopes: undefined,
    };
    Object.assign(consent, alreadySignedIn(request));
    pending.set(flow, consent);
    return proceed(flow, consent);
  }

  /** Who is taken without asking: the one hinted at, or the only account there is. */
  function alreadySignedIn({ loginHint, prompt }: AuthorizationRequest): Partial<PendingConsent> {
    if (prompt.has('select_account')) return {};
    const accounts = world.accounts();
    const hinted = accounts.find(
      ({ email, identities }) => email === loginHint || identities.some(({ sub }) => sub === loginHint),
    );
    const account = hinted ?? (accounts.length === 1 ? accounts[0] : undefined);
    const identity = account?.identities.find(({ sub }) => sub === loginHint) ?? account?.identities[0];
    return account && identity ? { account, identity } : {};
  }

  function proceed(flow: string, consent: PendingConsent): Answer {
    const { request, account, identity } = consent;
    const silent = request.prompt.has('none');
    const context: PageContext = {
      flow,
      applicationName: request.client.applicationName,
      redirectUri: request.redirectUri,
    };
    if (!account) return silent ? refuse(flow, 'interaction_required') : chooseAccountPage(context, world.accounts());
    checkTestUser(request, account);
    if (!identity) return chooseChannelPage(context, account);

    const consented = tokens.consents.standingScopes(request.client.project, identity);
    const needsConsent = request.prompt.has('consent') || request.scopes.some((scope) => !consented.includes(scope));
    if (!needsConsent) return finish(flow, consent, identity, request.scopes);
    if (silent) return refuse(flow, 'interaction_required');

    const signIn = request.scopes.filter(isSignInScope);
    const other = request.scopes.filter((scope) => !isSignInScope(scope));
    if (signIn.length > 0 && !consent.signInAccepted) return signInPage(context, identity, signIn);
    if (other.length > 0 && !consent.grantedScopes) {
      return permissionsPage(context, identity, other, request.client.trusted);
    }
    return finish(flow, consent, identity, [...signIn, ...(consent.grantedScopes ?? [])]);
  }

  function checkTestUser({ client }: AuthorizationRequest, { email }: Account): void {
    if (client.publishing !== 'testing' || !client.testUsers || client.testUsers.includes(email)) return;
    const message = `${client.applicationName} is being tested, and ${email} is not among its test users.`;
    throw new AuthorizationPageError(403, 'access_denied', message);
  }

  function finish(flow: string, { request }: PendingConsent, identity: Identity, granted: readonly string[]): Answer {
    const { client, redirectUri, challenge, nonce, prompt } = request;
    const before = tokens.consents.standingScopes(client.project, identity);
    const scopes = request.includeGrantedScopes ? [...new Set([...granted, ...before])] : granted;
    // Only the first consent, or one asked for anew, brings a refresh token (reference G15).
    const offline = request.offline && (!tokens.consents.stands(client, identity) || prompt.has('consent'));
    tokens.recordConsent({ client, identity, scopes });
    const { code } = tokens.issueCode({ client, identity, scopes, redirectUri, challenge, nonce, offline });
    pending.delete(flow);
    return callback(request, [
      ['code', code],
      ['scope', formatCallbackScopes(scopes)],
      ['authuser', '0'],
      ['prompt', prompt.has('consent') ? 'consent' : 'none'],
    ]);
  }

  function refuse(flow: string, error: 'access_denied' | 'interaction_required'): Answer {
    const request = pending.get(flow)?.request;
    pending.delete(flow);
    return request ? callback(request, [['error', error]]) : gone();
  }

  function callback(request: AuthorizationRequest, fields: readonly (readonly [string, string])[]): Answer {
    const location = new URL(request.redirectUri);
    if (request.state !== undefined) location.searchParams.append('state', request.state);
    const mode = request.client.issuerInCallback;
    if (mode === 'wrong') location.searchParams.append('iss', 'https://issuer.invalid');
    if (mode === 'present' || mode === 'twice') location.searchParams.append('iss', issuer);
    if (mode === 'twice') location.searchParams.append('iss', issuer);
    for (const [name, value] of fields) location.searchParams.append(name, value);
    return redirect(location.href);
  }

  function step(form: URLSearchParams): Answer {
    const flow = form.get('flow') ?? '';
    const consent = pending.get(flow);
    if (!consent) return gone();
    if (form.get('decision') === 'deny') return refuse(flow, 'access_denied');
    if (!consent.account) chooseAccount(consent, form);
    else if (!consent.identity)
      consent.identity = consent.account.identities.find(({ sub }) => sub === form.get('identity'));
    else if (form.get('decision') === 'allow') accept(consent, form);
    return proceed(flow, consent);
  }

  function chooseAccount(consent: PendingConsent, form: URLSearchParams): void {
    const account = world.account(form.get('account') ?? '');
    consent.account = account;
    // `prompt=consent` alone never shows the channel chooser; `select_account` leads to it (reference G16, Y4).
    const asksForChannel = consent.request.prompt.has('select_account') && (account?.identities.length ?? 0) > 1;
    if (!asksForChannel) consent.identity = account?.identities[0];
  }

  function accept(consent: PendingConsent, form: URLSearchParams): void {
    const { scopes, client } = consent.request;
    const other = scopes.filter((scope) => !isSignInScope(scope));
    if (other.length < scopes.length && !consent.signInAccepted) {
      consent.signInAccepted = true;
      return;
    }
    consent.grantedScopes = client.trusted ? other : other.filter((scope) => form.getAll('scope').includes(scope));
  }

  const gone = () => errorPage(400, 'invalid_request', 'This consent is over. Start again from the application.');

  const withErrorPage = (answer: () => Answer): Answer => {
    try {
      return answer();
    } catch (error) {
      if (error instanceof AuthorizationPageError) return errorPage(error.status, error.code, error.message);
      throw error;
    }
  };

  return {
    begin: ({ query }) => withErrorPage(() => begin(query)),
    step: ({ form }) => withErrorPage(() => step(form)),
  };
}
