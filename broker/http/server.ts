/**
 * The public HTTP server: the consent pages for owners and the admin API for programs. It speaks plain HTTP behind a TLS
 * gateway. express and helmet are imported in this room only.
 */
import { readFileSync } from 'node:fs';
import express from 'express';
import type { NewRequestId } from '../domain/request-id.ts';
import { BrokerError } from '../errors.ts';
import { type ClaimNames, createIdentify, type VerifyIdentity } from './api/identity.ts';
import { createApiRouter } from './api/router.ts';
import { createClientIp } from './client-ip.ts';
import { createConsentRouter } from './consent/consent-router.ts';
import { createErrorPage } from './consent/error-page.ts';
import { createRevokeRouter } from './consent/revoke-router.ts';
import type { Flows } from './flows.ts';
import { type Listening, listen } from './listen.ts';
import type { Log } from './log.ts';
import { createRequestContext } from './request-context.ts';
import { createSecurityEventsRouter } from './security-events.ts';
import { securityHeaders } from './security-headers.ts';

export interface HttpServerDeps {
  readonly flows: Flows;
  readonly verifyIdentity: VerifyIdentity;
  readonly claims: ClaimNames;
  /** Origin under which browsers reach us, without a final slash. */
  readonly publicUrl: string;
  /** Where owners are sent to consent. */
  readonly authorizationUrl: string;
  /** Networks in CIDR notation. */
  readonly trustedProxies: readonly string[];
  readonly log: Log;
  readonly newRequestId: NewRequestId;
  /** The broker's, for the OpenAPI document. */
  readonly version: string;
}

export function createHttpServer(deps: HttpServerDeps) {
  const { flows, verifyIdentity, claims, publicUrl, authorizationUrl, trustedProxies, log, newRequestId, version } =
    deps;
  const stylesheet = readFileSync(new URL('./pages/pages.css', import.meta.url));
  const identify = createIdentify({ ...flows, verifyIdentity, claims });

  const app = express().disable('x-powered-by').disable('etag').set('query parser', 'simple');
  app.use(createRequestContext({ clientIp: createClientIp(trustedProxies), newRequestId }));
  app.use(securityHeaders({ formTargets: [new URL(authorizationUrl).origin], https: publicUrl.startsWith('https:') }));
  app.get('/assets/pages.css', (_request, response) => {
    response.set('Cache-Control', 'public, max-age=300').type('css').send(stylesheet);
  });
  app.use((_request, response, next) => {
    response.set('Cache-Control', 'no-store');
    next();
  });
  // Before the API, which lets nobody in without an identity token.
  app.use('/v1/security-events', createSecurityEventsRouter({ ...flows, log }));
  app.use('/v1', createApiRouter({ flows, identify, publicUrl, log, version }));
  app.use(createConsentRouter({ flows, publicUrl, log }));
  app.use(createRevokeRouter({ flows }));
  app.use(() => {
    throw new BrokerError('NOT_FOUND');
  });
  app.use(createErrorPage(log));

  return { listen: (at: { host: string; port: number }): Promise<Listening> => listen(app, at) };
}
