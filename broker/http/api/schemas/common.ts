/** What the schemas of the admin API share, and what every route can answer. */
import * as z from 'zod';
import { namePattern } from '../../../domain/identifier.ts';

/** Names the schemas that become components of the OpenAPI document. */
export const components = z.registry<{ readonly id: string }>();

export function component<T extends z.ZodType>(id: string, schema: T): T {
  components.add(schema, { id });
  return schema;
}

export const instant = z.iso.datetime();

export const name = z
  .string()
  .regex(namePattern, 'use 1 to 40 lower-case letters, digits and hyphens, starting with a letter');

export const principal = z
  .string()
  .regex(/^(?:user|group):\S{1,200}$/, 'write user:SUBJECT or group:NAME')
  .describe('`user:SUBJECT` or `group:NAME`, as the identity provider names them.');

export const scope = z.string().min(1).max(200);

export const spiffeId = z
  .string()
  .max(2048)
  .regex(/^spiffe:\/\//, 'write spiffe://TRUST-DOMAIN/PATH');

export const reason = z.string().min(1).max(256).describe('Why; kept in the audit record.');

export const count = z.string().regex(/^\d{1,15}$/, 'write a whole number');

export const whoami = component(
  'Identity',
  z.object({
    subject: z.string(),
    name: z.string().nullable(),
    groups: z.array(z.string()),
    principals: z.array(z.string()).describe('By any of these an admin list may name you.'),
  }),
);

export const apiError = component(
  'Error',
  z.object({
    error: z.object({
      code: z.string().describe('Stable; see docs/api.md.'),
      message: z.string().describe('What is wrong.'),
      next: z.string().describe('What to do.'),
      problems: z.array(z.string()).describe('What is wrong with which field, as `field: sentence`.'),
      request_id: z.string().describe('By this the operators find the cause in the log.'),
    }),
  }),
);

export type WhoamiAnswer = z.output<typeof whoami>;

export type ErrorAnswer = z.output<typeof apiError>;
