import { Argument, type Command } from 'commander';
import { type Publishing, publishingStatuses } from '../../domain/oauth-client.ts';
import type {
  OAuthClientAnswer,
  RotatedKeyAnswer,
  RotatedSecretAnswer,
  ShownOAuthClientAnswer,
} from '../../http/api/schemas.ts';
import { type CommandContext, type OutputOption, withOutput } from '../command-context.ts';
import { type Fact, showInstant } from '../output.ts';
import { readSecret } from '../secret-input.ts';
import { addIncidentCommands } from './oauth-client-incident.ts';

interface AddOptions extends OutputOption {
  readonly clientId: string;
  readonly secretFile?: string;
  readonly dpop: boolean;
}

/** `broker oauth-client …` */
export function addOAuthClientCommands(program: Command, context: CommandContext): void {
  const { api, output, secretSource } = context;
  const oauthClient = program.command('oauth-client').description('our registrations at Google');

  withOutput(oauthClient.command('add'))
    .argument('<name>', 'ours; names the secret in Vault')
    .description('add an OAuth client; its secret goes to Vault and is never shown again (for operators)')
    .requiredOption('--client-id <id>', 'as Google names it')
    .option('--secret-file <path>', 'file with the client secret, or - for stdin (default: asks)')
    .option('--no-dpop', 'do not bind consents to a key in Vault (RFC 9449)')
    .action(async (name: string, { clientId, secretFile, dpop, output: format }: AddOptions) => {
      const secret = await readSecret('client secret', secretFile, secretSource);
      const added = await api().post<OAuthClientAnswer>('/v1/oauth-clients', {
        name,
        client_id: clientId,
        client_secret: secret.reveal(),
        dpop,
      });
      if (format === 'json') return output.json(added);
      output.facts(factsOf(added));
    });

  withOutput(oauthClient.command('list'))
    .description('list the OAuth clients, without their secrets')
    .action(async (options: OutputOption) => {
      const answer = await api().get<{ oauth_clients: readonly OAuthClientAnswer[] }>('/v1/oauth-clients');
      if (options.output === 'json') return output.json(answer);
      const rows = answer.oauth_clients.map((client) => [
        client.name,
        client.client_id,
        stateOf(client),
        yesOrNo(client.dpop),
        client.channels === null ? '' : String(client.channels),
        showInstant(client.created_at),
      ]);
      const headings = ['name', 'client id', 'state', 'dpop', 'channels', 'created'];
      output.table(headings, rows, 'There is no OAuth client yet.');
    });

  withOutput(oauthClient.command('show'))
    .argument('<name>', 'of the OAuth client')
    .description('show an OAuth client and the order of its secrets (for operators)')
    .action(async (name: string, options: OutputOption) => {
      const answer = await api().get<ShownOAuthClientAnswer>(pathOf(name));
      if (options.output === 'json') return output.json(answer);
      output.facts(factsOf(answer.oauth_client));
      output.text('\n');
      const rows = answer.secrets.map(({ version, created_at }, index) => [
        String(version),
        index === 0 ? 'first' : 'where those before are refused',
        showInstant(created_at),
      ]);
      output.table(['secret', 'tried', 'stored'], rows, 'There is no secret.');
    });

  for (const act of ['disable', 'enable'] as const) {
    withOutput(oauthClient.command(act))
      .argument('<name>', 'of the OAuth client')
      .description(
        act === 'disable'
          ? 'no new consents and no refreshes with it; valid tokens are served (for operators)'
          : 'use it again; what is due is refreshed at once (for operators)',
      )
      .action(async (name: string, options: OutputOption) => {
        const answer = await api().post<OAuthClientAnswer>(`${pathOf(name)}/${act}`);
        if (options.output === 'json') return output.json(answer);
        output.facts(factsOf(answer));
        if (act === 'disable') output.hint(`Switch it on again: broker oauth-client enable ${answer.name}`);
      });
  }

  withOutput(oauthClient.command('set-dpop'))
    .argument('<name>', 'of the OAuth client')
    .addArgument(new Argument('<choice>', 'bind new consents to a key in Vault').choices(['on', 'off']))
    .description('bind new consents by DPoP or not; consents of before stay as they are (for operators)')
    .action(async (name: string, choice: 'on' | 'off', options: OutputOption) => {
      const answer = await api().post<OAuthClientAnswer>(`${pathOf(name)}/dpop`, { dpop: choice === 'on' });
      if (options.output === 'json') return output.json(answer);
      output.facts(factsOf(answer));
    });

  withOutput(oauthClient.command('set-publishing'))
    .argument('<name>', 'of the OAuth client')
    .addArgument(new Argument('<status>', 'as the Google Cloud console shows it').choices(publishingStatuses))
    .description('say whether Google has it in testing, where consents end after 7 days (for operators)')
    .action(async (name: string, publishing: Publishing, options: OutputOption) => {
      const answer = await api().post<OAuthClientAnswer>(`${pathOf(name)}/publishing`, { publishing });
      if (options.output === 'json') return output.json(answer);
      output.facts(factsOf(answer));
    });

  withOutput(oauthClient.command('rotate-dpop-key'))
    .argument('<name>', 'of the OAuth client')
    .description('bind new consents to a new key version; others keep theirs (for operators)')
    .action(async (name: string, options: OutputOption) => {
      const answer = await api().post<RotatedKeyAnswer>(`${pathOf(name)}/dpop-key/rotate`);
      if (options.output === 'json') return output.json(answer);
      output.facts([
        ['OAuth client', name],
        ['DPoP key version', String(answer.version)],
      ]);
    });

  withOutput(oauthClient.command('rotate-secret'))
    .argument('<name>', 'of the OAuth client')
    .description('put a new secret in front; the former stays as the fall-back (for operators)')
    .option('--secret-file <path>', 'file with the client secret, or - for stdin (default: asks)')
    .action(async (name: string, { secretFile, output: format }: OutputOption & { readonly secretFile?: string }) => {
      const secret = await readSecret('client secret', secretFile, secretSource);
      const body = { client_secret: secret.reveal() };
      const answer = await api().post<RotatedSecretAnswer>(`${pathOf(name)}/secrets`, body);
      if (format === 'json') return output.json(answer);
      output.facts(secretFacts(name, answer));
      output.hint(
        answer.accepted
          ? `End the former one here, then at Google: broker oauth-client retire-secret ${name}`
          : 'The former one is used until Google accepts the new one. Check that it was copied whole.',
      );
    });

  withOutput(oauthClient.command('retire-secret'))
    .argument('<name>', 'of the OAuth client')
    .description('end the former secrets, once Google accepts the newest (for operators)')
    .option('--force', 'also where Google does not accept the newest')
    .action(async (name: string, { force = false, output: format }: OutputOption & { readonly force?: boolean }) => {
      const answer = await api().post<RotatedSecretAnswer>(`${pathOf(name)}/secrets/retire`, { force });
      if (format === 'json') return output.json(answer);
      output.facts(secretFacts(name, answer));
      output.hint('Now delete the former secret at Google.');
    });

  addIncidentCommands(oauthClient, context);
}

function pathOf(name: string): string {
  return `/v1/oauth-clients/${encodeURIComponent(name)}`;
}

function stateOf({ disabled_at, incidents }: OAuthClientAnswer): string {
  const state = disabled_at === null ? 'enabled' : `disabled since ${showInstant(disabled_at)}`;
  return [state, ...incidents].join(', ');
}

function yesOrNo(value: boolean): string {
  return value ? 'yes' : 'no';
}

function secretFacts(name: string, { version, accepted }: RotatedSecretAnswer): readonly Fact[] {
  const answers = accepted === null ? 'Google did not answer' : accepted ? 'accepts it' : 'does not accept it';
  return [
    ['OAuth client', name],
    ['secret', `version ${version}`],
    ['Google', answers],
  ];
}

function factsOf(client: OAuthClientAnswer): readonly Fact[] {
  return [
    ['OAuth client', client.name],
    ['client id', client.client_id],
    ['state', stateOf(client)],
    ['DPoP', yesOrNo(client.dpop)],
    ['publishing', client.publishing],
    ['channels', client.channels === null ? undefined : String(client.channels)],
    ['created', showInstant(client.created_at)],
  ];
}
