import type { Flows } from '../../broker/http/flows.ts';
import type { WorkloadAccess, WorkloadDenial } from '../../broker/ports.ts';

/** Access rules and denials in memory, all of the tenant `acme`. */
export function createFakeWorkloads(
  at: Date,
): Pick<Flows, 'allowWorkload' | 'manageWorkloads' | 'denyWorkload'> & { readonly rules: readonly WorkloadAccess[] } {
  const rules: WorkloadAccess[] = [];
  const denials: WorkloadDenial[] = [];

  /** Takes one out of the list, as if it had been there where it is not. */
  function take<T>(list: T[], which: (one: T) => boolean, otherwise: T): T {
    const place = list.findIndex(which);
    return (place < 0 ? undefined : list.splice(place, 1)[0]) ?? otherwise;
  }

  return {
    rules,
    allowWorkload: async (caller, rule) => {
      const access = { ...rule, tenant: 'acme', createdBy: caller.subject, createdAt: at };
      rules.push(access);
      return access;
    },
    manageWorkloads: {
      list: async (_caller, { channel }) => rules.filter((rule) => !channel || rule.channel === channel),
      remove: async (caller, { channel, spiffeId, reason }) => {
        const given = { channel, spiffeId, reason, tenant: 'acme', createdBy: caller.subject, createdAt: at };
        return take(rules, (rule) => rule.channel === channel && rule.spiffeId === spiffeId, given);
      },
    },
    denyWorkload: {
      deny: async (caller, { spiffeId, serial, tenant, reason }) => {
        const denial = { subject: spiffeId ?? serial ?? '', tenant, reason, createdBy: caller.subject, createdAt: at };
        denials.push(denial);
        return denial;
      },
      lift: async (caller, { spiffeId, serial, tenant, reason }) => {
        const subject = spiffeId ?? serial ?? '';
        const given = { subject, tenant, reason, createdBy: caller.subject, createdAt: at };
        return take(denials, (denial) => denial.subject === subject, given);
      },
      list: async () => denials,
    },
  };
}
