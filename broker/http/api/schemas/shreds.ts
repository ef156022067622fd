/** The shredding of a tenant on the wire. */
import * as z from 'zod';
import { revocationOutcomes } from '../../../domain/revocation.ts';
import { shredStates } from '../../../domain/shred.ts';
import { channel } from './channels.ts';
import { component, instant, name } from './common.ts';
import { tenant } from './tenants.ts';

const confirm = name.describe('The name of the tenant once more, as typed by a person.');

export const newShred = component(
  'NewShred',
  z.strictObject({
    confirm,
    reason: z.string().min(1).max(256).describe('Why; kept in the audit record.'),
    without_revocation: z.boolean().default(false).describe('Do not ask Google to revoke the grants.'),
  }),
);

export const shredApproval = component('ShredApproval', z.strictObject({ confirm }));

export const shredStart = component(
  'ShredStart',
  z.strictObject({
    confirm,
    without_revocation: z.boolean().default(false).describe('Go on without those that Google has not revoked.'),
  }),
);

const revocations = z
  .record(z.enum([...revocationOutcomes, 'pending']), z.int())
  .describe('Grants by what became of them at Google.');

export const shredPlan = component(
  'ShredPlan',
  z.object({
    tenant,
    channels: z.array(channel),
    workloads: z.array(z.string()).describe('SPIFFE IDs that lose access.'),
    open_consents: z.int().describe('Consents that owners have not finished.'),
    shared: z
      .array(z.object({ channel: z.string(), siblings: z.int(), named: z.array(z.string()) }))
      .describe(
        'Channels whose grant is not revoked at Google, because it would end channels of other tenants; `named` are those that you may see.',
      ),
    approvals_needed: z.int(),
  }),
);

export const shredStatus = component(
  'ShredStatus',
  z.object({
    tenant,
    key: z.enum(['present', 'soft_deleted', 'absent']).nullable().describe('The key in Vault, once it was started.'),
    shred: z
      .object({
        id: z.string(),
        state: z.enum(shredStates),
        reason: z.string(),
        approvals_needed: z.int(),
        without_revocation: z.boolean(),
        requested_by: z.string(),
        requested_at: instant,
        expires_at: instant.describe('A request that was not started by then is void.'),
        approved_by: z.string().nullable(),
        approved_at: instant.nullable(),
        started_by: z.string().nullable(),
        started_at: instant.nullable(),
        ended_at: instant.nullable(),
        revocations: revocations.nullable(),
        proof: z
          .object({
            at: instant,
            channels: z.int(),
            ciphertexts: z.int().describe('Stored ciphertexts that were tried.'),
            opened: z.int(),
            ciphertexts_digest: z.string(),
            key_absent: z.boolean(),
            control_refused: z.boolean(),
            control_had_opened: z.boolean().describe('Whether the refused control was seen to open at the start.'),
          })
          .nullable(),
      })
      .nullable(),
  }),
);

export type ShredPlanAnswer = z.output<typeof shredPlan>;

export type ShredStatusAnswer = z.output<typeof shredStatus>;
