import type { Command } from 'commander';
import type {
  AddedChannelAnswer,
  ChannelAnswer,
  ConsentLinkAnswer,
  ShownChannelAnswer,
} from '../../http/api/schemas.ts';
import { type CommandContext, type OutputOption, several, withOutput } from '../command-context.ts';
import { type Fact, type Output, showInstant } from '../output.ts';
import { pathOf } from './channel-path.ts';
import { addChannelRevokeCommands } from './channel-revoke.ts';
import { addChannelSuspendCommands } from './channel-suspend.ts';

interface AddOptions extends OutputOption {
  readonly tenant: string;
  readonly oauthClient: string;
  readonly region?: string;
  readonly owner?: string;
  readonly admin?: readonly string[];
  readonly scope?: readonly string[];
}

/** `broker channel add|list|show|consent-link`, and those that stop one */
export function addChannelCommands(program: Command, context: CommandContext): void {
  const { api, output } = context;
  const channel = program.command('channel').description('YouTube channels and their owners’ consents');

  withOutput(channel.command('add'))
    .argument('<name>', 'yours; unique within the tenant')
    .description('add a channel and make the link by which its owner consents')
    .requiredOption('--tenant <name>', 'the customer who owns it')
    .requiredOption('--oauth-client <name>', 'the OAuth client to ask for consent with')
    .option('--region <name>', 'where it is refreshed (default: the broker’s region)')
    .option('--owner <subject>', 'its owner at the identity provider (default: you)')
    .option('--admin <principal>', 'user:SUBJECT or group:NAME who may act on it; several times', several)
    .option('--scope <scope>', 'what to ask the owner for; several times (default: upload and identify)', several)
    .action(async (name: string, { output: format, oauthClient, admin, scope, ...rest }: AddOptions) => {
      const body = { name, oauth_client: oauthClient, admins: admin, scopes: scope, ...rest };
      const added = await api().post<AddedChannelAnswer>('/v1/channels', body);
      if (format === 'json') return output.json(added);
      output.facts([...factsOf(added.channel), ...linkFacts(added.consent_link)]);
      explainLink(output);
    });

  withOutput(channel.command('list'))
    .description('list the channels that you may act on')
    .option('--tenant <name>', 'only this tenant’s')
    .option('--state <state>', 'only those in this state, for example needs_reconsent')
    .action(async ({ output: format, ...filter }: OutputOption & Readonly<Record<string, string>>) => {
      const query = new URLSearchParams(filter).toString();
      const answer = await api().get<{ channels: readonly ChannelAnswer[] }>(`/v1/channels${query ? `?${query}` : ''}`);
      if (format === 'json') return output.json(answer);
      const rows = answer.channels.map((one) => [
        one.id,
        one.tenant,
        one.name,
        stateOf(one),
        one.grant?.youtube_title ?? '',
      ]);
      output.table(['id', 'tenant', 'name', 'state', 'youtube'], rows, 'There is no such channel that you may act on.');
    });

  withOutput(channel.command('show'))
    .argument('<channel>', 'its id')
    .description('show a channel, its consent, and who may read its tokens')
    .action(async (id: string, options: OutputOption) => {
      const answer = await api().get<ShownChannelAnswer>(pathOf(id));
      if (options.output === 'json') return output.json(answer);
      output.facts([...factsOf(answer.channel), ...grantFacts(answer.channel), ...consentFacts(answer)]);
      output.text('\n');
      const rows = answer.workloads.map(({ spiffe_id, reason, created_by }) => [spiffe_id, created_by, reason]);
      output.table(['workload', 'allowed by', 'reason'], rows, 'No workload may read its tokens yet.');
    });

  withOutput(channel.command('consent-link'))
    .argument('<channel>', 'its id')
    .description('make a new consent link for the channel’s owner')
    .action(async (id: string, options: OutputOption) => {
      const link = await api().post<ConsentLinkAnswer>(`${pathOf(id)}/consent-links`);
      if (options.output === 'json') return output.json(link);
      output.facts(linkFacts(link));
      explainLink(output);
    });

  addChannelSuspendCommands(channel, context);
  addChannelRevokeCommands(channel, context);
}

/** Why the newest consent has not come about; nothing where there is nothing to tell. */
function consentFacts({ newest_consent: consent }: ShownChannelAnswer): readonly Fact[] {
  if (!consent || consent.status === 'completed') return [];
  const tried =
    consent.started_at === null ? 'the owner has not started' : `started ${showInstant(consent.started_at)}`;
  const outcome = consent.status === 'received' ? 'received, being checked' : (consent.failure ?? 'no answer yet');
  return [['newest consent', consent.started_at === null ? tried : `${tried}: ${outcome}`]];
}

function explainLink(output: Output): void {
  output.hint('Send the link to the channel’s owner. Whoever has it can connect a channel: treat it as a secret.');
}

function stateOf(channel: ChannelAnswer): string {
  return channel.degraded ? `${channel.state} (degraded)` : channel.state;
}

function factsOf(channel: ChannelAnswer): readonly Fact[] {
  return [
    ['id', channel.id],
    ['tenant', channel.tenant],
    ['name', channel.name],
    ['state', `${stateOf(channel)}, ${channel.reason}`],
    ['owner', channel.owner],
    ['admins', channel.admins.length > 0 ? channel.admins.join(' ') : undefined],
    ['OAuth client', channel.oauth_client],
    ['region', channel.region],
  ];
}

function linkFacts(link: ConsentLinkAnswer): readonly Fact[] {
  return [
    ['consent link', link.url],
    ['link expires', showInstant(link.expires_at)],
  ];
}

function grantFacts({ grant }: ChannelAnswer): readonly Fact[] {
  if (!grant) return [['consent', 'none yet']];
  const instant = (iso: string | null): string => (iso === null ? 'never' : showInstant(iso));
  return [
    ['YouTube', `${grant.youtube_title} (${grant.youtube_channel_id})`],
    ['consented', showInstant(grant.consented_at)],
    ['scopes', grant.scopes.join(' ')],
    ['last refresh', instant(grant.last_refresh_at)],
    ['token expires', instant(grant.token_expires_at)],
    ['next refresh', instant(grant.refresh_due_at)],
    ['failures', grant.last_failure === null ? undefined : `${grant.refresh_failures}, last: ${grant.last_failure}`],
  ];
}
