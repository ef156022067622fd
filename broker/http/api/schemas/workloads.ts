/** Workloads’ access, and who is shut out, on the wire. */
import * as z from 'zod';
import { component, instant, name, reason, scope, spiffeId } from './common.ts';

const named = spiffeId.describe('A workload, or a path with `/*` at its end for all workloads below it.');
const scopes = z.array(scope).min(1).max(50);

export const newWorkload = component(
  'NewWorkload',
  z.strictObject({
    spiffe_id: named,
    reason,
    scopes: scopes.optional().describe('What may be asked for; all that the owner granted where it is left out.'),
    expires_at: instant.optional().describe('From then on the rule lets nobody in; never where it is left out.'),
    accept_wider_token: z
      .boolean()
      .optional()
      .describe(
        'Agrees that the token opens all that the owner granted, also beyond `scopes`: Google gives no narrower one.',
      ),
  }),
);

export const workload = component(
  'Workload',
  z.object({
    spiffe_id: z.string(),
    channel: z.string(),
    tenant: z.string(),
    reason: z.string(),
    scopes: z.array(z.string()).nullable(),
    expires_at: instant.nullable(),
    accepts_wider_token: z.boolean(),
    created_by: z.string(),
    created_at: instant,
  }),
);

export const workloadList = component('WorkloadList', z.object({ workloads: z.array(workload) }));

export const workloadFilter = component(
  'WorkloadFilter',
  z.strictObject({
    tenant: name.optional(),
    channel: z.string().max(64).optional(),
    spiffe_id: spiffeId.optional().describe('A workload: all rules that name it.'),
  }),
);

export const workloadRemoval = component('WorkloadRemoval', z.strictObject({ spiffe_id: named, reason }));

export const newDenial = component(
  'NewDenial',
  z.strictObject({
    spiffe_id: spiffeId.optional().describe('The workload; or give `serial`.'),
    serial: z.string().max(100).optional().describe('The serial number of one certificate, in hexadecimal.'),
    tenant: name.optional().describe('Shuts out of this tenant’s channels only; of everything where it is left out.'),
    reason,
  }),
);

export const denial = component(
  'Denial',
  z.object({
    spiffe_id: z.string().nullable(),
    serial: z.string().nullable(),
    tenant: z.string().nullable(),
    reason: z.string(),
    created_by: z.string(),
    created_at: instant,
  }),
);

export const denialList = component('DenialList', z.object({ denials: z.array(denial) }));

export const denialFilter = component('DenialFilter', z.strictObject({ tenant: name.optional() }));

export type WorkloadAnswer = z.output<typeof workload>;

export type WorkloadListAnswer = z.output<typeof workloadList>;

export type DenialAnswer = z.output<typeof denial>;

export type DenialListAnswer = z.output<typeof denialList>;
