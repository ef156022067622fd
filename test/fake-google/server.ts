/**
 * The practice Google: a real HTTP server on the loopback interface that keeps Google's contract as far as a broker of
 * YouTube tokens can see it. It holds no timers and no files; its whole state is in memory and goes with `close()`.
 *
 *     const google = await startPracticeGoogle();
 *     google.addClient({ clientId: 'uploads', clientSecret: 'secret', redirectUris: ['http://127.0.0.1:8080/callback'] });
 *     google.addAccount({ email: 'owner@example.com', channels: [{ id: 'UC1', title: 'My channel', kind: 'personal' }] });
 *     const callbackUrl = await google.consent(authorizationUrl, { account: 'owner@example.com' });
 *     google.faults.add({ fault: { kind: 'reset' }, where: { endpoint: 'token' }, when: 'after' });
 *     google.advance(7 * day);
 *     await google.close();
 *
 * Another process drives the same controls over HTTP: see `control.ts` and `remote.ts`.
 */
import { randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createAuthorization } from './authorization.ts';
import { consentPath } from './authorization-page.ts';
import { createAdjustableClock } from './clock.ts';
import { controlPath, createControl } from './control.ts';
import { createCounter } from './counters.ts';
import { createDpopVerifier } from './dpop.ts';
import { createFaultBook } from './faults.ts';
import type { Endpoint } from './http.ts';
import { createSigningKey } from './jwt.ts';
import { createListener, type Route } from './listener.ts';
import { createDiscovery, createIdTokenIssuer, createKeySet, createUserinfo, type Endpoints } from './openid.ts';
import type { OwnersChoice, PracticeGoogle, PracticeGoogleOptions } from './practice-google.ts';
import { createRandomNames } from './random.ts';
import { createRevocation } from './revocation-endpoint.ts';
import type { RevocationTiming } from './revocations.ts';
import { parseScopes } from './scopes.ts';
import { createRiscConfiguration, createStreamManagement } from './security-event-streams.ts';
import { createSecurityEvents, securityEventIssuer } from './security-events.ts';
import { createTokenEndpoint } from './token-endpoint.ts';
import { createTokenBook, usualTokenSettings } from './tokens.ts';
import { walkConsent } from './walk-consent.ts';
import { createWorld, type Identity } from './world.ts';
import { createChannelList } from './youtube.ts';
import { createVideoUploads } from './youtube-upload.ts';

export type { PracticeGoogle, PracticeGoogleOptions } from './practice-google.ts';

/** Starts the practice Google and resolves when it listens. */
export async function startPracticeGoogle(options: PracticeGoogleOptions = {}): Promise<PracticeGoogle> {
  const clock = createAdjustableClock(options.clock);
  const random = options.random ?? randomBytes;
  const names = createRandomNames(random);
  const world = createWorld({ names });
  const tokens = createTokenBook({ clock, names, settings: { ...usualTokenSettings, ...options.tokens } });
  const counter = createCounter({ clock });
  const faults = createFaultBook({ names });
  const signingKey = options.signingKey ?? createSigningKey('practice-google-1');
  const forgersKey = createSigningKey('practice-google-1');
  let timing: RevocationTiming = { delay: 0, reachesLaterConsents: false, ...options.revocation };

  const server = createServer({ keepAliveTimeout: 60_000 });
  server.on('connection', () => counter.connection());
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(options.port ?? 0, '127.0.0.1', resolve);
  });
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const endpoints = endpointsAt(url, options.issuer ?? url);

  const dpop = createDpopVerifier({ clock, random, htu: endpoints.token });
  const issueIdToken = createIdTokenIssuer({ clock, issuer: endpoints.issuer, signingKey });
  const boundTokenRefusal = options.boundTokenRefusal ?? 'invalid_grant';
  const authorization = createAuthorization({ world, tokens, names, issuer: endpoints.issuer });
  const token = createTokenEndpoint({ clock, world, tokens, dpop, issueIdToken, boundTokenRefusal });
  const revocation = createRevocation({ tokens, timing: () => timing });
  const eventIssuer = securityEventIssuer(endpoints.issuer);
  const events = createSecurityEvents({ clock, world, tokens, names, issuer: eventIssuer, signingKey, forgersKey });
  const manageStream = createStreamManagement({ clock, world, events, issuer: eventIssuer });
  const uploads = createVideoUploads({ clock, names, tokens, baseUrl: `${endpoints.youtubeUpload}/videos` });

  const google: PracticeGoogle = {
    url,
    endpoints,
    addProject: world.addProject,
    addClient: world.addClient,
    updateClient: world.updateClient,
    addAccount: world.addAccount,
    setChannels: world.setChannels,
    now: clock.now,
    advance: clock.advance,
    setClock: clock.set,
    faults,
    counts: counter,
    securityEvents: events,
    consent: walkConsent,
    grant({ clientId, account, channel, scope }) {
      const client = world.client(clientId);
      const identity = world.findIdentity(account, channel);
      if (!client || !identity) throw new Error('the practice google knows no such client or identity');
      const grant = { client, identity, scopes: parseScopes(scope) };
      tokens.recordConsent(grant);
      const refreshToken = tokens.issueRefreshToken(grant);
      const accessToken = tokens.issueAccessToken({ ...grant, refreshToken });
      return { refreshToken: refreshToken.token, accessToken: accessToken.token, sub: identity.sub };
    },
    revokeByOwner(choice, change = {}) {
      const { project, identity } = chosen(choice);
      tokens.revoke(project, identity, { ...timing, ...change });
    },
    setRevocationTiming(change) {
      timing = { ...timing, ...change };
    },
    expire(name) {
      if (!tokens.expire(name)) throw new Error('the practice google never issued this token');
    },
    liveRefreshTokens: () => tokens.liveRefreshTokens().map((live) => live.token),
    uploads: () => [...uploads.videos],
    close,
    [Symbol.asyncDispose]: close,
  };

  function chosen(choice: OwnersChoice): { project: string; identity: Identity } {
    if ('token' in choice) {
      const owner = tokens.ownerOf(choice.token);
      if (!owner) throw new Error('the practice google never issued this token');
      return { project: owner.client.project, identity: owner.identity };
    }
    const identity = world.findIdentity(choice.account, choice.channel);
    if (!identity) throw new Error(`the practice google knows no identity ${choice.account} ${choice.channel ?? ''}`);
    return { project: choice.project, identity };
  }

  function close(): Promise<void> {
    return new Promise((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
  }

  const route = (endpoint: Route['endpoint'], answer: Endpoint): Route => ({ endpoint, answer });
  const routes: Readonly<Record<string, Route>> = {
    'GET /o/oauth2/v2/auth': route('authorization', authorization.begin),
    [`POST ${consentPath}`]: route('consent', authorization.step),
    'POST /token': route('token', token),
    'POST /revoke': route('revocation', revocation),
    'GET /.well-known/openid-configuration': route('discovery', createDiscovery(endpoints)),
    'GET /oauth2/v3/certs': route('jwks', createKeySet(signingKey)),
    'GET /v1/userinfo': route('userinfo', createUserinfo(tokens)),
    'GET /.well-known/risc-configuration': route('risc-configuration', createRiscConfiguration(endpoints)),
    'GET /v1beta/stream': route('risc-stream', manageStream),
    'POST /v1beta/stream:update': route('risc-stream', manageStream),
    'POST /v1beta/stream:verify': route('risc-stream', manageStream),
    'GET /youtube/v3/channels': route('channels', createChannelList(tokens)),
    'POST /upload/youtube/v3/videos': route('upload-begin', uploads.begin),
    'PUT /upload/youtube/v3/videos': route('upload-send', uploads.send),
  };
  const control = createControl(google);
  server.on('request', createListener({ routes, tokens, faults, counter, control, controlPath }));
  return google;
}

function endpointsAt(url: string, issuer: string): Endpoints {
  return {
    issuer,
    authorization: `${url}/o/oauth2/v2/auth`,
    token: `${url}/token`,
    revocation: `${url}/revoke`,
    jwks: `${url}/oauth2/v3/certs`,
    discovery: `${url}/.well-known/openid-configuration`,
    userinfo: `${url}/v1/userinfo`,
    riscConfiguration: `${url}/.well-known/risc-configuration`,
    riscManagement: url,
    youtube: `${url}/youtube/v3`,
    youtubeUpload: `${url}/upload/youtube/v3`,
  };
}
