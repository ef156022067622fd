/** What all pages for owners share: who acts, and that a button was pressed on a page of our own. */
import type { RequestHandler, Response } from 'express';
import type { Owner } from '../../domain/caller.ts';
import { BrokerError } from '../../errors.ts';
import { contextOf } from '../request-context.ts';

export function ownerOf(response: Response): Owner {
  return { kind: 'owner', ...contextOf(response) };
}

/**
 * An act is a button on our own page. Another site that posts here would act where its visitor did not ask for it.
 * (`Origin` cannot tell: our no-referrer policy makes it `null`.) Browsers without the header are let through: a consent is
 * decided at Google, and the link that ends one is a secret that no other site knows.
 */
export const refuseForeignPages: RequestHandler = (request, _response, next) => {
  const site = request.get('sec-fetch-site') ?? 'same-origin';
  if (site !== 'same-origin' && site !== 'none')
    throw new BrokerError('INVALID_REQUEST', { detail: 'started from another site' });
  next();
};
