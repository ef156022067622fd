/** Chains with records of many minutes, signed by a real Vault at those minutes, and what deletes their beginnings. */
import type { PrunableStretch } from '../../broker/domain/audit-prune.ts';
import type { AuditRecord } from '../../broker/domain/audit-record.ts';
import { createPruneAudit, type PruneAudit } from '../../broker/flow/prune-audit.ts';
import type { Store } from '../../broker/ports.ts';
import type { Database } from '../../broker/store/database.ts';
import { createAuditPruning } from '../../broker/store/owner/audit-pruning.ts';
import { databaseRoles } from '../../stack/postgres-roles.ts';
import { useAuditedStore } from './audit.ts';
import { ownerUrl, superuserUrl } from './postgres.ts';
import type { Scope } from './scope.ts';
import { useConnection } from './store.ts';
import { aRecord, minute } from './store-fixtures.ts';
import type { SetUpVault } from './vault-set-up.ts';

export const retentionMs = 400 * 86_400_000;
let tenants = 0;

/** The instant at which everything up to that minute is old enough. */
export function whenOld(minutes: number): Date {
  return new Date(minute(minutes).getTime() + retentionMs);
}

/** Record `seq` of a chain, of minute `seq`. */
export function act(chain: string, seq: number): AuditRecord {
  return aRecord('token.release', { tenant: chain, at: minute(seq), facts: { n: seq, source: 'cache' } });
}

/** Creates a tenant of its own (Vault is shared) with twelve records; Vault signs each fourth at its minute. */
export async function usePrunableChain(t: Scope, vault: SetUpVault) {
  let now = minute(0);
  const audited = await useAuditedStore(t, vault, { clock: { now: () => now } });
  const { store, checkpointer, url } = audited;
  const begin = async (name = `pruned-${++tenants}`): Promise<string> => {
    await store.tenants.create({ name, admins: [], createdAt: minute(0) }, act(name, 1));
    for (let seq = 2; seq <= 12; seq++) {
      now = minute(seq);
      await store.audit.append(act(name, seq));
      if (seq % 4 === 0) await checkpointer.runOnce();
    }
    return name;
  };
  const owner = useConnection(t, ownerUrl(url));
  return {
    ...audited,
    chain: await begin(),
    /** Makes another chain of the same kind. */
    begin,
    /** Has everything signed, now. */
    sign: async (at: Date) => {
      now = at;
      await checkpointer.runOnce();
    },
    owner,
    superuser: useConnection(t, superuserUrl(url)),
    pruneAt: (at: Date, mostPerBatch?: number) => pruner(owner, at, mostPerBatch),
  };
}

/** Prunes as a role of the database, at an instant. */
export function pruner(owner: Database, at: Date, mostPerBatch = 10_000): PruneAudit {
  return createPruneAudit({
    pruning: createAuditPruning(owner),
    clock: { now: () => at },
    retentionMs,
    mostPerBatch,
    databaseRole: databaseRoles.owner,
  });
}

/** Stretches as `chain from-to`. */
export function shown(stretches: readonly PrunableStretch[]): readonly string[] {
  return stretches.map(({ from, through }) => `${through.chain} ${from}-${through.seq}`);
}

/** What the records of prunes say was deleted, oldest first, as `from-to`. */
export async function prunesOf(store: Store, chain: string): Promise<readonly string[]> {
  const records = await store.audit.list({ tenant: chain, limit: 100 });
  return records
    .filter(({ action }) => action === 'audit.prune')
    .map(({ facts }) => `${facts.from}-${facts.through}`)
    .toReversed();
}
