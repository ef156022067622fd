/** Workloads’ access on the wire. */
import * as z from 'zod';
import { component, instant, spiffeId } from './common.ts';

export const newWorkload = component(
  'NewWorkload',
  z.strictObject({
    spiffe_id: spiffeId.describe('The workload that may read the channel’s access tokens.'),
    reason: z.string().min(1).max(256).describe('Why; kept in the audit record.'),
  }),
);

export const workload = component(
  'Workload',
  z.object({ spiffe_id: z.string(), reason: z.string(), created_by: z.string(), created_at: instant }),
);

export type WorkloadAnswer = z.output<typeof workload>;
