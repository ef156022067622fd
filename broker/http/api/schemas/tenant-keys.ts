/** Tenants’ keys on the wire. */
import * as z from 'zod';
import { component, instant } from './common.ts';

export const newMinKeyVersion = component(
  'NewMinKeyVersion',
  z.strictObject({ to: z.int().min(1).optional().describe('The newest version, where absent.') }),
);

export const newKeySchedule = component(
  'NewKeySchedule',
  z.strictObject({
    rotate_every_seconds: z
      .int()
      .min(1)
      .nullable()
      .describe('How old the newest version may get; null for no schedule.'),
  }),
);

export const tenantKey = component(
  'TenantKey',
  z.object({
    tenant: z.string(),
    fault: z.enum(['missing', 'unsuitable']).nullable().describe('What is wrong with the key in Vault.'),
    newest_version: z.int().describe('0 where the key cannot be used.'),
    min_version: z.int().describe('The oldest version that decrypts.'),
    versions: z.array(z.object({ version: z.int(), created_at: instant.nullable(), rows: z.int() })),
    rows: z.int().describe('Ciphertexts that are stored: refresh tokens, received ones, PKCE verifiers.'),
    rows_to_rewrap: z.int().describe('Those that need a version before the newest.'),
    percent: z.int().describe('How much is rewrapped.'),
    rewrapping: z.boolean().describe('A broker is working on them.'),
    rows_per_second: z.int().nullable().describe('The most that one replica rewraps; null for no limit.'),
    rewrap_failed: z.array(z.string()).describe('Rows that Vault could not rewrap: kind and id.'),
    rewrapped_at: instant.nullable().describe('Since when no row needs a version before the newest.'),
    safe_min_version: z.int().nullable().describe('What the minimum can be raised to now.'),
    rotate_every_seconds: z.int().nullable(),
    next_rotation_at: instant.nullable(),
    next_raise_at: instant.nullable(),
  }),
);

export type TenantKeyAnswer = z.output<typeof tenantKey>;
