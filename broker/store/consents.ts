import type { Store } from '../ports.ts';
import { expectChanged } from './conflict.ts';
import { toConsent, toConsentRow, toRequestColumns } from './consent-row.ts';
import type { Database } from './database.ts';
import { recorded } from './recorded.ts';

/** Consents up to the moment when something is received, in the table `consents`; the rest is `received-grants.ts`. */
export function createConsents(
  database: Database,
): Pick<
  Store['consents'],
  'create' | 'findByLink' | 'findByState' | 'newest' | 'begin' | 'takeState' | 'completeWithoutToken' | 'fail'
> {
  const findBy = async (column: 'link_hash' | 'state_hash', hash: string) => {
    const row = await database.run((db) =>
      db.selectFrom('consents').selectAll().where(column, '=', hash).executeTakeFirst(),
    );
    return row && toConsent(row);
  };

  return {
    create: (consent, record) =>
      recorded(database, record, async (trx) => {
        await trx.insertInto('consents').values(toConsentRow(consent)).execute();
      }),

    findByLink: (linkHash) => findBy('link_hash', linkHash),
    findByState: (stateHash) => findBy('state_hash', stateHash),

    async newest(channel) {
      const row = await database.run((db) =>
        db
          .selectFrom('consents')
          .selectAll()
          .where('channel', '=', channel)
          .orderBy('created_at', 'desc')
          .limit(1)
          .executeTakeFirst(),
      );
      return row && toConsent(row);
    },

    begin: (consentId, request, record) =>
      recorded(database, record, async (trx) => {
        const result = await trx
          .updateTable('consents')
          .set({ ...toRequestColumns(request), failure: null, failed_at: null })
          .where('id', '=', consentId)
          .where('status', '=', 'pending')
          .executeTakeFirst();
        expectChanged(result, notPending(consentId));
      }),

    async takeState(stateHash, browserHash, now) {
      const result = await database.run((db) =>
        db
          .updateTable('consents')
          .set({ taken_at: now, code_verifier_encrypted: null })
          .where('state_hash', '=', stateHash)
          .where('browser_hash', '=', browserHash)
          .where('status', '=', 'pending')
          .where('taken_at', 'is', null)
          .where('request_expires_at', '>', now)
          .executeTakeFirst(),
      );
      return result.numUpdatedRows > 0n;
    },

    completeWithoutToken: (consentId, at, record) =>
      recorded(database, record, async (trx) => {
        const result = await trx
          .updateTable('consents')
          .set({ status: 'completed', completed_at: at, failure: null, failed_at: null })
          .where('id', '=', consentId)
          .where('status', '=', 'pending')
          .executeTakeFirst();
        expectChanged(result, notPending(consentId));
      }),

    fail: (consentId, failure, at, record) =>
      recorded(database, record, async (trx) => {
        const result = await trx
          .updateTable('consents')
          .set({ failure, failed_at: at })
          .where('id', '=', consentId)
          .where('status', '=', 'pending')
          .executeTakeFirst();
        expectChanged(result, notPending(consentId));
      }),
  };
}

function notPending(consentId: string): string {
  return `consent ${consentId} is not pending`;
}
