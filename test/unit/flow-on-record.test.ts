/** What is done in Vault is on record before it is done: what cannot be recorded is not done. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { AuditRecord } from '../../broker/domain/audit-record.ts';
import { Secret } from '../../broker/domain/secret.ts';
import { BrokerError } from '../../broker/errors.ts';
import type { Authorize } from '../../broker/flow/authorize.ts';
import { createManageNotifications } from '../../broker/flow/manage-notifications.ts';
import type { Store } from '../../broker/ports.ts';
import { start } from '../support/store-fixtures.ts';

const operator = {
  kind: 'person',
  subject: 'olga',
  displayName: undefined,
  groups: ['operators'],
  ip: undefined,
  requestId: 'r',
} as const;
const secret = new Secret(`whsec_${Buffer.alloc(24, 1).toString('base64')}`);

function useNotifications(given: { readonly recordFails?: boolean; readonly vaultFails?: boolean } = {}) {
  const happened: string[] = [];
  const append = async ({ result, facts }: AuditRecord): Promise<void> => {
    if (given.recordFails) throw new BrokerError('AUDIT_UNAVAILABLE');
    happened.push(`${facts.step} ${result}`);
  };
  const { setSecret } = createManageNotifications({
    authorize: { operator: async () => {} } as Partial<Authorize> as Authorize,
    store: { audit: { append } } as unknown as Store,
    signingSecrets: {
      current: async () => [],
      replace: async () => {
        happened.push('replaced');
        if (given.vaultFails) throw new BrokerError('VAULT_UNAVAILABLE');
        return undefined;
      },
    },
    clock: { now: () => start },
    operatorsGroup: 'operators',
  });
  return { setSecret: () => setSecret(operator, { secret }), happened };
}

test('a new signing secret is on record before it is in Vault, and after', async () => {
  const { setSecret, happened } = useNotifications();
  await setSecret();
  assert.deepEqual(happened, ['begun ok', 'replaced', 'done ok']);
});

test('one that cannot be recorded is not put there', async () => {
  const { setSecret, happened } = useNotifications({ recordFails: true });
  await assert.rejects(setSecret(), { code: 'AUDIT_UNAVAILABLE' });
  assert.deepEqual(happened, []);
});

test('one that Vault did not take is on record as that', async () => {
  const { setSecret, happened } = useNotifications({ vaultFails: true });
  await assert.rejects(setSecret(), { code: 'VAULT_UNAVAILABLE' });
  assert.deepEqual(happened, ['begun ok', 'replaced', 'failed VAULT_UNAVAILABLE']);
});
