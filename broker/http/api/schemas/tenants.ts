/** Tenants on the wire. */
import * as z from 'zod';
import { tenantStates } from '../../../domain/shred.ts';
import { component, instant, name, principal } from './common.ts';

export const newTenant = component(
  'NewTenant',
  z.strictObject({
    name: name.describe('Becomes part of Vault paths; cannot be changed later.'),
    admins: z.array(principal).max(100).default([]).describe('Whoever creates it, where nobody is named.'),
  }),
);

export const tenant = component(
  'Tenant',
  z.object({
    name: z.string(),
    admins: z.array(z.string()),
    created_at: instant,
    state: z.enum(tenantStates).describe('`shredding` and `shredded`: there is no way back.'),
  }),
);

export const tenantList = component('TenantList', z.object({ tenants: z.array(tenant) }));

/** The answers, for clients written in TypeScript. */
export type TenantAnswer = z.output<typeof tenant>;
