/**
 * The owner's way: the link (GET, changes nothing: mail scanners open links) → the start (POST) → Google → the callback
 * → the result.
 *
 * The callback answers 303 to a page of its own instead of showing the result at once: the URL with `code` and `state`
 * stays neither in the address bar nor in the history, no page is ever shown at it that could leak it (RFC 9700 §4.2),
 * and reloading the result is harmless. The result travels in a cookie of this browser, so it needs neither a session
 * nor a word in the URL. It is not signed: only this host can set it, and it is shown to its own browser only, escaped.
 */
import express, { type Response, type Router } from 'express';
import { Secret } from '../../domain/secret.ts';
import type { ConsentFlows } from '../flows.ts';
import type { Log } from '../log.ts';
import { contextOf } from '../request-context.ts';
import { brokerErrorOf, logError } from '../thrown.ts';
import { attemptKey, createConsentCookies } from './consent-cookies.ts';
import { resultPage, startPage } from './consent-pages.ts';
import { type ConsentResult, resultOfOutcome } from './consent-result.ts';
import { ownerOf, refuseForeignPages } from './owner.ts';

/** Errors become pages in error-page.ts, but those of the callback become results: they, too, leave its URL. */
export function createConsentRouter(deps: { flows: ConsentFlows; publicUrl: string; log: Log }): Router {
  const { flows, publicUrl, log } = deps;
  const cookies = createConsentCookies(publicUrl);
  const router = express.Router({ caseSensitive: true, strict: true });

  router.get('/consent/:link', async (request, response) => {
    const view = await flows.viewConsent(ownerOf(response), { link: new Secret(request.params.link) });
    response.send(startPage(view, contextOf(response).requestId));
  });

  router.post('/consent/:link', refuseForeignPages, async (request, response) => {
    const link = new Secret(String(request.params.link));
    const { authorizationUrl, browserSecret } = await flows.beginConsent(ownerOf(response), { link });
    const key = attemptKey(new URL(authorizationUrl).searchParams.get('state'));
    response.append('Set-Cookie', cookies.writeAttempt(key, { browserSecret, link }));
    response.redirect(303, authorizationUrl);
  });

  router.get('/oauth2/callback', async (request, response) => {
    const parameters = new URL(request.originalUrl, publicUrl).searchParams;
    const key = attemptKey(parameters.get('state'));
    const attempt = cookies.readAttempt(request.get('cookie'), key);
    const startAgain = attempt && `/consent/${attempt.link.reveal()}`;
    const what = await complete(response, [...parameters], attempt?.browserSecret, startAgain);
    const { requestId } = contextOf(response);
    response.append('Set-Cookie', cookies.clearAttempt(key));
    response.append('Set-Cookie', cookies.writeResult(key, { requestId, what }));
    response.redirect(303, `/consent/result/${key}`);
  });

  router.get('/consent/result/:key', (request, response) => {
    const { requestId } = contextOf(response);
    // Without its cookie the page cannot know: most likely the browser takes none, so the consent cannot have worked.
    const unknown = { requestId, what: { kind: 'error', code: 'INVALID_AUTHORIZATION_RESPONSE' } } as const;
    response.send(resultPage(cookies.readResult(request.get('cookie'), request.params.key) ?? unknown));
  });

  return router;

  async function complete(
    response: Response,
    parameters: readonly (readonly [string, string])[],
    browserSecret: Secret<string> | undefined,
    startAgain: string | undefined,
  ): Promise<ConsentResult['what']> {
    try {
      const outcome = await flows.completeConsent(ownerOf(response), { parameters, browserSecret });
      return resultOfOutcome(outcome, startAgain);
    } catch (thrown) {
      const error = brokerErrorOf(thrown);
      logError(log, response, error);
      return { kind: 'error', code: error.code, startAgain };
    }
  }
}
