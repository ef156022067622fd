/**
 * What a consent came to, as the page after the callback shows it. It travels in a cookie from the callback to that page
 * (see consent-router.ts), so it holds nothing that the owner may not see.
 */
import * as z from 'zod';
import { type ErrorCode, errorTable } from '../../errors.ts';
import type { ConsentOutcome } from '../../flow/settle-grant.ts';
import { isConsentFailure } from './consent-messages.ts';

const what = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('completed'), tenant: z.string(), youtubeTitle: z.string() }),
  z.object({ kind: z.literal('received'), tenant: z.string() }),
  z.object({
    kind: z.literal('failed'),
    tenant: z.string(),
    failure: z.string().refine(isConsentFailure),
    facts: z.object({
      missingScopes: z.array(z.string()).optional(),
      youtubeTitle: z.string().optional(),
      pinnedTitle: z.string().optional(),
    }),
    /** Path of the consent link, to start again. */
    startAgain: z.string().optional(),
  }),
  z.object({
    kind: z.literal('error'),
    code: z.string().refine((code): code is ErrorCode => Object.hasOwn(errorTable, code)),
    startAgain: z.string().optional(),
  }),
]);

const schema = z.object({
  /** Of the callback, not of the page that shows this: there the operators find the cause. */
  requestId: z.string(),
  what,
});

export type ConsentResult = z.output<typeof schema>;

export function resultOfOutcome(outcome: ConsentOutcome, startAgain: string | undefined): ConsentResult['what'] {
  switch (outcome.kind) {
    case 'completed':
      return { kind: 'completed', tenant: outcome.tenant, youtubeTitle: outcome.youtubeTitle };
    case 'received':
      return { kind: 'received', tenant: outcome.tenant };
    case 'failed':
      return {
        kind: 'failed',
        tenant: outcome.tenant,
        failure: outcome.failure,
        facts: {
          missingScopes: outcome.facts.missingScopes && [...outcome.facts.missingScopes],
          youtubeTitle: outcome.facts.youtubeTitle,
          pinnedTitle: outcome.facts.pinnedTitle,
        },
        startAgain,
      };
  }
}

export function writeResult(result: ConsentResult): string {
  return Buffer.from(JSON.stringify(result)).toString('base64url');
}

/** Undefined where the text is not one that `writeResult` wrote. */
export function readResult(text: string): ConsentResult | undefined {
  try {
    return schema.safeParse(JSON.parse(Buffer.from(text, 'base64url').toString('utf8'))).data;
  } catch {
    return undefined;
  }
}
