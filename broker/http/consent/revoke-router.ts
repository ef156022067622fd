/**
 * The owner's way to disconnect a channel: the link (GET, changes nothing: mail scanners open links) → the button (POST, with the
 * name of the plan that was shown) → a page that says so. That page is at an address of its own: reloading it is harmless,
 * and the link stays out of the history's newest entry.
 */
import express, { type Router } from 'express';
import { Secret } from '../../domain/secret.ts';
import type { ConsentFlows } from '../flows.ts';
import { contextOf } from '../request-context.ts';
import { ownerOf, refuseForeignPages } from './owner.ts';
import { disconnectedPage, revokePage } from './revoke-pages.ts';

/** Errors become pages in error-page.ts. */
export function createRevokeRouter({ flows }: { flows: Pick<ConsentFlows, 'revokeByOwner'> }): Router {
  const router = express.Router({ caseSensitive: true, strict: true });
  const form = express.urlencoded({ extended: false, limit: '1kb', parameterLimit: 4 });

  router.get('/revoke/disconnected', (_request, response) => {
    response.send(disconnectedPage(contextOf(response).requestId));
  });

  router.get('/revoke/:link', async (request, response) => {
    const view = await flows.revokeByOwner.view(ownerOf(response), { link: new Secret(request.params.link) });
    response.send(revokePage(view, contextOf(response).requestId));
  });

  router.post('/revoke/:link', refuseForeignPages, form, async (request, response) => {
    const link = new Secret(String(request.params.link));
    await flows.revokeByOwner.revoke(ownerOf(response), { link, plan: String(request.body?.plan ?? '').slice(0, 64) });
    response.redirect(303, '/revoke/disconnected');
  });

  return router;
}
