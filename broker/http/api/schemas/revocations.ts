/** The revocation of a channel on the wire. */
import * as z from 'zod';
import { channelStates } from '../../../domain/channel.ts';
import { revocationOutcomes } from '../../../domain/revocation.ts';
import { channel } from './channels.ts';
import { component, instant, reason } from './common.ts';

export const newRevocation = component(
  'NewRevocation',
  z.strictObject({
    plan: z.string().min(1).max(64).describe('`digest` of the plan that you agree to.'),
    reason,
  }),
);

const outcome = z.enum(revocationOutcomes).nullable().describe('At Google; null while that is not known.');

const sibling = z.object({
  id: z.string(),
  tenant: z.string(),
  name: z.string(),
  state: z.enum(channelStates),
});

export const revocationPlan = component(
  'RevocationPlan',
  z.object({
    channel,
    at_google: z.boolean().describe('Whether there is a grant that Google has to take back.'),
    siblings: z
      .array(sibling)
      .describe('Channels that Google ends with it, as far as you may act on them; operators see all.'),
    unnamed: z
      .object({ active: z.int(), suspended: z.int() })
      .describe('How many more of other tenants Google ends with it, by their state.'),
    digest: z.string().describe('Stands for this plan; give it back as `plan` to agree to it.'),
  }),
);

export const revocationStatus = component(
  'RevocationStatus',
  z.object({
    channel,
    revocation: z
      .object({
        requested_at: instant,
        outcome,
        answered_at: instant.nullable().describe('When that became known.'),
        attempts: z.int().describe('How often Google was asked.'),
        next_attempt_at: instant.nullable(),
      })
      .nullable()
      .describe('Null where there was nothing to revoke at Google, or the channel is not revoked.'),
  }),
);

export const revokeLink = component(
  'RevokeLink',
  z.object({
    url: z
      .url()
      .describe('To be sent to the channel’s owner. Whoever has it can disconnect the channel: treat it as a secret.'),
    expires_at: instant,
  }),
);

export type RevocationPlanAnswer = z.output<typeof revocationPlan>;

export type RevocationStatusAnswer = z.output<typeof revocationStatus>;

export type RevokeLinkAnswer = z.output<typeof revokeLink>;
