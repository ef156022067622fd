import type { Store } from '../ports.ts';
import { expectChanged } from './conflict.ts';
import type { Database } from './database.ts';
import { recorded } from './recorded.ts';

/** Stops and resumes a channel. Its grant stays as it is, and so does what is known of it. */
export function createSuspensions(database: Database): Pick<Store['channels'], 'suspend' | 'resume'> {
  return {
    suspend: ({ id, at }, record) =>
      recorded(database, record, async (trx) => {
        // The fence rises: a refresh that is under way writes nothing and caches nothing. A refresh token that it brings is
        // stored all the same, from disk. No token that was cached before is found by a reader after the resumption.
        const result = await trx
          .updateTable('channels')
          .set((row) => ({
            state: 'suspended',
            reason: 'suspended_by_admin',
            claim_fence: row('claim_fence', '+', 1),
            claimed_until: null,
            access_token_cache_key: null,
            token_expiry: null,
            updated_at: at,
          }))
          .where('id', '=', id)
          .where('state', '=', 'active')
          .executeTakeFirst();
        expectChanged(result, `channel ${id} is not active`);
      }),

    resume: ({ id, at }, record) =>
      recorded(database, record, async (trx) => {
        const result = await trx
          .updateTable('channels')
          .set({ state: 'active', reason: 'resumed_by_admin', refresh_due_at: at, proof_due_at: null, updated_at: at })
          .where('id', '=', id)
          .where('state', '=', 'suspended')
          .executeTakeFirst();
        expectChanged(result, `channel ${id} is not suspended`);
      }),
  };
}
