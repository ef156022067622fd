/** What the shred commands show. */
import type { ShredPlanAnswer, ShredStatusAnswer } from '../../http/api/schemas.ts';
import { type Output, type OutputFormat, showInstant } from '../output.ts';

/** What would be lost; for scripts, on stderr and in one sentence. */
export function showLosses(output: Output, plan: ShredPlanAnswer, format: OutputFormat): void {
  const grants = plan.channels.filter(({ grant }) => grant !== null);
  if (format === 'json') {
    output.say(`Tenant ${plan.tenant.name}: ${plan.channels.length} channels, ${grants.length} grants: lost for good.`);
    return;
  }
  output.facts([
    ['tenant', `${plan.tenant.name}, ${plan.tenant.state}`],
    ['channels', String(plan.channels.length)],
    ['grants', `${grants.length}: nobody can read their refresh tokens again`],
    ['workloads', plan.workloads.length > 0 ? `lose access: ${plan.workloads.join(' ')}` : 'none has access'],
    ['open consents', String(plan.open_consents)],
  ]);
  output.text('\n');
  const shared = new Map(plan.shared.map((one) => [one.channel, one]));
  const rows = plan.channels.map(({ id, name, state, grant }) => [
    id,
    name,
    state,
    grant?.youtube_title ?? '',
    atGoogle(grant !== null, shared.get(id)),
  ]);
  output.table(['id', 'name', 'state', 'youtube', 'at Google'], rows, 'It has no channels.');
  output.text('\n');
  output.say('Every one of these owners would have to consent anew, in another tenant. There is no way back.');
}

function atGoogle(hasGrant: boolean, shared: ShredPlanAnswer['shared'][number] | undefined): string {
  if (!hasGrant) return 'nothing to revoke';
  if (!shared) return 'is revoked';
  const named = shared.named.length > 0 ? ` (${shared.named.join(' ')})` : '';
  return `is kept: ${shared.siblings} of another tenant live by it${named}`;
}

export function showShred(output: Output, { tenant, key, shred }: ShredStatusAnswer): void {
  const facts: [string, string | undefined][] = [['tenant', `${tenant.name}, ${tenant.state}`]];
  if (!shred) {
    output.facts(facts);
    output.hint(`Nobody has requested that it be shredded: broker tenant shred ${tenant.name} --dry-run`);
    return;
  }
  const by = (who: string | null, at: string | null) => (who && at ? `${who}, ${showInstant(at)}` : undefined);
  const { revocations, proof } = shred;
  const outcomes = Object.entries(revocations ?? {}).filter(([, count]) => (count ?? 0) > 0);
  output.facts([
    ...facts,
    ['shred', `${shred.id}, ${shred.state}`],
    ['reason', shred.reason],
    ['requested', by(shred.requested_by, shred.requested_at)],
    ['approved', by(shred.approved_by, shred.approved_at) ?? (shred.approvals_needed === 0 ? 'not needed' : 'not yet')],
    ['lapses', shred.started_at ? undefined : showInstant(shred.expires_at)],
    ['started', by(shred.started_by, shred.started_at)],
    ['at Google', outcomes.map(([outcome, count]) => `${count} ${outcome}`).join(', ') || undefined],
    ['key in Vault', key ?? undefined],
    ['ended', shred.ended_at ? showInstant(shred.ended_at) : undefined],
    ['proof', proof ? `${proof.ciphertexts} ciphertexts tried, ${proof.opened} opened; the key is absent` : undefined],
    ['digest', proof ? proof.ciphertexts_digest : undefined],
  ]);
  if (key === 'soft_deleted') output.hint('A soft-deleted key can be restored. Only deleting it destroys it.');
}
