/** Shreds that are kept in memory and end as soon as they are started: for what the HTTP room and the CLI do with them. */
import type { Channel } from '../../broker/domain/channel.ts';
import type { RevocationTally, Shred } from '../../broker/domain/shred.ts';
import { BrokerError } from '../../broker/errors.ts';
import type { Flows } from '../../broker/http/flows.ts';

const at = new Date('2026-03-01T12:00:00Z');
const tally: RevocationTally = {
  pending: 0,
  revoked: 1,
  already_invalid: 0,
  kept_for_sibling: 0,
  unreadable: 0,
  failed: 0,
  skipped: 0,
};

export function createFakeShreds(channels: readonly Channel[], approvalsNeeded: number): Flows['shredTenant'] {
  let shred: Shred | undefined;
  const tenant = (name: string) => {
    if (name !== 'acme') throw new BrokerError('TENANT_NOT_FOUND');
    const state = shred?.state === 'shredded' ? 'shredded' : 'active';
    return { name, admins: ['group:studio'], createdAt: at, state } as const;
  };
  const status = (name: string) => ({
    tenant: tenant(name),
    shred,
    revocations: shred?.startedAt ? tally : undefined,
    key: shred?.startedAt ? ('absent' as const) : undefined,
  });
  const open = (): Shred => {
    if (!shred || shred.state === 'cancelled') throw new BrokerError('SHRED_NOT_FOUND');
    return shred;
  };

  return {
    plan: async (_person, name) => ({
      tenant: tenant(name),
      channels,
      workloads: ['spiffe://token-broker.internal/workload/uploader'],
      openConsents: 0,
      shared: [],
      approvalsNeeded,
    }),
    status: async (_person, name) => status(name),
    request: async (person, name, { reason, withoutRevocation }) => {
      if (shred) throw new BrokerError('SHRED_EXISTS');
      shred = {
        id: `sh_${'0'.repeat(26)}`,
        tenant: name,
        state: approvalsNeeded === 0 ? 'approved' : 'requested',
        reason,
        approvalsNeeded,
        withoutRevocation,
        requestedBy: person.subject,
        requestedAt: at,
        expiresAt: new Date('2026-03-04T12:00:00Z'),
        approvedBy: undefined,
        approvedAt: undefined,
        startedBy: undefined,
        startedAt: undefined,
        endedAt: undefined,
        controlCiphertext: undefined,
        proof: undefined,
      };
      return status(name);
    },
    approve: async (person, name) => {
      if (open().requestedBy === person.subject) throw new BrokerError('SHRED_SELF_APPROVAL');
      shred = { ...open(), state: 'approved', approvedBy: person.subject, approvedAt: at };
      return status(name);
    },
    cancel: async (_person, name) => {
      shred = { ...open(), state: 'cancelled', endedAt: at };
      return status(name);
    },
    start: async (person, name) => {
      if (open().state === 'requested') throw new BrokerError('SHRED_NOT_APPROVED');
      shred = {
        ...open(),
        state: 'shredded',
        startedBy: person.subject,
        startedAt: at,
        endedAt: at,
        controlCiphertext: 'vault:v1:canary-control',
        proof: {
          at: at.toISOString(),
          channels: 1,
          ciphertexts: 1,
          opened: 0,
          ciphertextsDigest: '5e'.repeat(32),
          keyAbsent: true,
          controlRefused: true,
          controlHadOpened: true,
          revocations: tally,
        },
      };
      return status(name);
    },
  };
}
