/** Turns what the flows say of a shred into what goes over the wire. */
import type { ShredPlan, ShredStatus } from '../../flow/shred-tenant.ts';
import type { ShredPlanAnswer, ShredStatusAnswer } from './schemas.ts';
import { viewChannel, viewTenant } from './views.ts';

export function viewShredPlan(plan: ShredPlan): ShredPlanAnswer {
  return {
    tenant: viewTenant(plan.tenant),
    channels: plan.channels.map(viewChannel),
    workloads: [...plan.workloads],
    open_consents: plan.openConsents,
    shared: plan.shared.map(({ channel, siblings, named }) => ({ channel, siblings, named: [...named] })),
    approvals_needed: plan.approvalsNeeded,
  };
}

/** The control is left out: it is a ciphertext, and nobody outside needs it. */
export function viewShredStatus({ tenant, shred, revocations, key }: ShredStatus): ShredStatusAnswer {
  const instant = (at: Date | undefined) => at?.toISOString() ?? null;
  return {
    tenant: viewTenant(tenant),
    key: key ?? null,
    shred: shred
      ? {
          id: shred.id,
          state: shred.state,
          reason: shred.reason,
          approvals_needed: shred.approvalsNeeded,
          without_revocation: shred.withoutRevocation,
          requested_by: shred.requestedBy,
          requested_at: shred.requestedAt.toISOString(),
          expires_at: shred.expiresAt.toISOString(),
          approved_by: shred.approvedBy ?? null,
          approved_at: instant(shred.approvedAt),
          started_by: shred.startedBy ?? null,
          started_at: instant(shred.startedAt),
          ended_at: instant(shred.endedAt),
          revocations: revocations ? { ...revocations } : null,
          proof: shred.proof
            ? {
                at: shred.proof.at,
                channels: shred.proof.channels,
                ciphertexts: shred.proof.ciphertexts,
                opened: shred.proof.opened,
                ciphertexts_digest: shred.proof.ciphertextsDigest,
                key_absent: shred.proof.keyAbsent,
                control_refused: shred.proof.controlRefused,
                control_had_opened: shred.proof.controlHadOpened,
              }
            : null,
        }
      : null,
  };
}
