/** Turns what the flows say of a revocation into what goes over the wire. */
import type { ConsentLink } from '../../flow/invite-consent.ts';
import type { ShownRevocationPlan } from '../../flow/revocation-plan.ts';
import type { RevocationStatus } from '../../flow/revoke-channel.ts';
import type { RevocationPlanAnswer, RevocationStatusAnswer, RevokeLinkAnswer } from './schemas.ts';
import { viewChannel } from './views.ts';

export function viewRevocationPlan(plan: ShownRevocationPlan): RevocationPlanAnswer {
  return {
    channel: viewChannel(plan.channel),
    at_google: plan.atGoogle,
    siblings: plan.named.map(({ id, tenant, name, state }) => ({ id, tenant, name, state })),
    unnamed: { ...plan.unnamed },
    digest: plan.digest,
  };
}

export function viewRevocationStatus({ channel, revocation }: RevocationStatus): RevocationStatusAnswer {
  return {
    channel: viewChannel(channel),
    revocation: revocation
      ? {
          requested_at: revocation.requestedAt.toISOString(),
          outcome: revocation.outcome ?? null,
          answered_at: (revocation.outcome && revocation.answeredAt?.toISOString()) ?? null,
          attempts: revocation.attempts,
          next_attempt_at: revocation.outcome ? null : revocation.dueAt.toISOString(),
        }
      : null,
  };
}

/** The only place where the secret of such a link is shown: to the admin who asked for it, once. */
export function viewRevokeLink(link: ConsentLink, publicUrl: string): RevokeLinkAnswer {
  return { url: `${publicUrl}/revoke/${link.token.reveal()}`, expires_at: link.expiresAt.toISOString() };
}
