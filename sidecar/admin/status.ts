/** What the admin socket tells of a running sidecar; the shape is checked by who asks. */
import * as z from 'zod';

const obstacle = z.object({ code: z.string(), next: z.string() });

export const adminStatus = z.object({
  ready: z.boolean(),
  obstacles: z.array(obstacle).readonly(),
  degraded: z.array(obstacle).readonly(),
  certificate: z.object({ spiffe_id: z.string(), serial: z.string(), ends_at: z.string() }).optional(),
  tokens: z
    .array(z.object({ channel: z.string(), ends_at: z.string().optional(), problem: z.string().optional() }))
    .readonly(),
});
export type AdminStatus = z.output<typeof adminStatus>;
