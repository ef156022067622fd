/** What the revoke commands show. */
import type { RevocationPlanAnswer, RevocationStatusAnswer } from '../../http/api/schemas.ts';
import { type Output, type OutputFormat, showInstant } from '../output.ts';

/** How many other channels end with it. */
export function countOf({ siblings, unnamed }: RevocationPlanAnswer): number {
  return siblings.length + unnamed.active + unnamed.suspended;
}

/** What would end; for scripts, on stderr and in one sentence. */
export function showPlan(output: Output, plan: RevocationPlanAnswer, format: OutputFormat): void {
  const { channel, siblings, unnamed } = plan;
  if (format === 'json') {
    output.say(`This ends ${channel.name} for good, and ${countOf(plan)} others with it.`);
    return;
  }
  output.facts([
    ['channel', `${channel.id}, ${channel.name} of ${channel.tenant}, ${channel.state}`],
    ['YouTube', channel.grant?.youtube_title],
    ['at Google', plan.at_google ? 'the consent is taken back' : 'there is no consent to take back'],
  ]);
  output.text('\n');
  const rows = siblings.map(({ id, tenant, name, state }) => [id, tenant, name, state]);
  output.table(['ends with it', 'tenant', 'name', 'state'], rows, 'No other channel that you may see ends with it.');
  const others = Object.entries(unnamed).filter(([, count]) => count > 0);
  if (others.length > 0) {
    output.say(`Of other tenants, too: ${others.map(([state, count]) => `${count} ${state}`).join(', ')}.`);
  }
  if (countOf(plan) > 0) {
    output.say(
      'They have the same Google Account and the same Google project: Google ends them together. Their owners have to consent anew.',
    );
  }
  output.say('There is no way back: the channel has to be added again.');
}

export function showRevocation(output: Output, { channel, revocation }: RevocationStatusAnswer): void {
  output.facts([
    ['channel', `${channel.id}, ${channel.name} of ${channel.tenant}`],
    ['state', `${channel.state}, ${channel.reason}`],
    ['requested', revocation ? showInstant(revocation.requested_at) : undefined],
    ['at Google', revocation ? atGoogle(revocation) : 'nothing to take back'],
    ['attempts', revocation ? String(revocation.attempts) : undefined],
  ]);
  if (revocation?.outcome === null) {
    output.hint(
      `Nothing is served any more. Google is asked again until it has answered: broker channel revoke-status ${channel.id}`,
    );
  }
}

function atGoogle(revocation: NonNullable<RevocationStatusAnswer['revocation']>): string {
  const { outcome, answered_at: at, next_attempt_at: next } = revocation;
  if (outcome === null) return next ? `not yet; asked next at ${showInstant(next)}` : 'not yet';
  return at ? `${outcome}, ${showInstant(at)}` : outcome;
}
