import { type Command, Option } from 'commander';
import type {
  IncidentAnswer,
  IncidentListAnswer,
  ShownIncidentAnswer,
  ShownIncidentListAnswer,
  ThawedAnswer,
} from '../../http/api/schemas.ts';
import { type CommandContext, type OutputOption, withOutput } from '../command-context.ts';
import { type Output, showInstant } from '../output.ts';

type Kind = IncidentAnswer['kind'];
const kinds = ['mass_invalid_grant', 'client_rejected'] as const satisfies readonly Kind[];

interface ThawOptions extends OutputOption {
  readonly kind: Kind;
  readonly believe: boolean;
}

/** `broker oauth-client incident list|show|thaw` */
export function addIncidentCommands(oauthClient: Command, { api, output }: CommandContext): void {
  const incident = oauthClient.command('incident').description('trouble of an OAuth client that is no channel’s');

  withOutput(incident.command('list'))
    .description('list the open incidents (for operators)')
    .option('--all', 'also those that are over')
    .action(async ({ all, output: format }: OutputOption & { readonly all?: true }) => {
      const answer = await api().get<IncidentListAnswer>(`/v1/oauth-client-incidents${all ? '?all=true' : ''}`);
      if (format === 'json') return output.json(answer);
      const rows = answer.incidents.map((one) => [
        one.oauth_client,
        one.kind,
        one.error,
        showInstant(one.opened_at),
        one.ended ? `${one.ended.ending} ${showInstant(one.ended.at)} by ${one.ended.by}` : 'open',
      ]);
      output.table(['oauth client', 'kind', 'google says', 'since', 'state'], rows, 'There is no incident.');
    });

  withOutput(incident.command('show'))
    .argument('<name>', 'of the OAuth client')
    .description('show its open incidents and the channels that they are about (for operators)')
    .action(async (name: string, options: OutputOption) => {
      const answer = await api().get<ShownIncidentListAnswer>(`${pathOf(name)}/incidents`);
      if (options.output === 'json') return output.json(answer);
      if (answer.incidents.length === 0) return output.say('There is no open incident of this OAuth client.');
      for (const shown of answer.incidents) show(output, shown);
    });

  withOutput(incident.command('thaw'))
    .argument('<name>', 'of the OAuth client')
    .description('end its incident: it is well again, what was changed is put back (for operators)')
    .addOption(new Option('--kind <kind>', 'of the incident').choices(kinds).default('mass_invalid_grant'))
    .option(
      '--believe',
      'Google is right, the consents are dead: nothing is put back, and for a day all is believed',
      false,
    )
    .action(async (name: string, { kind, believe, output: format }: ThawOptions) => {
      const answer = await api().post<ThawedAnswer>(`${pathOf(name)}/incidents/thaw`, { kind, believe });
      if (format === 'json') return output.json(answer);
      output.facts([
        ['OAuth client', name],
        ['incident', `${kind}, ${believe ? 'believed' : 'thawed'}`],
        ['active again', answer.restored.length > 0 ? answer.restored.join(' ') : 'none'],
      ]);
      if (believe)
        output.hint('Owners whose consent is dead are told now: broker channel list --state needs_reconsent');
    });
}

function show(output: Output, { incident, channels, total }: ShownIncidentAnswer): void {
  output.facts([
    ['OAuth client', incident.oauth_client],
    ['incident', incident.kind],
    ['Google says', incident.error],
    ['since', showInstant(incident.opened_at)],
    ['channels', String(total)],
  ]);
  output.text('\n');
  const rows = channels.map((one) => [
    one.channel,
    one.tenant,
    one.error,
    showInstant(one.first_at),
    one.changed ? 'changed' : 'held back',
  ]);
  output.table(['channel', 'tenant', 'google says', 'first', 'its state was'], rows, 'No channel is known yet.');
  output.hint(
    `It ends by itself when it works again. By hand: broker oauth-client incident thaw ${incident.oauth_client} --kind ${incident.kind}`,
  );
}

function pathOf(name: string): string {
  return `/v1/oauth-clients/${encodeURIComponent(name)}`;
}
