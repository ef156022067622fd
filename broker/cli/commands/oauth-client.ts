import type { Command } from 'commander';
import type { OAuthClientAnswer } from '../../http/api/schemas.ts';
import { type CommandContext, type OutputOption, withOutput } from '../command-context.ts';
import { type Fact, showInstant } from '../output.ts';
import { readSecret } from '../secret-input.ts';

interface AddOptions extends OutputOption {
  readonly clientId: string;
  readonly secretFile?: string;
  readonly dpop: boolean;
}

/** `broker oauth-client add|list` */
export function addOAuthClientCommands(program: Command, { api, output, secretSource }: CommandContext): void {
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
      const rows = answer.oauth_clients.map((client) => factsOf(client).map(([, value]) => value ?? ''));
      output.table(['name', 'client id', 'dpop', 'created'], rows, 'There is no OAuth client yet.');
    });
}

function factsOf(client: OAuthClientAnswer): readonly Fact[] {
  return [
    ['OAuth client', client.name],
    ['client id', client.client_id],
    ['DPoP', client.dpop ? 'yes' : 'no'],
    ['created', showInstant(client.created_at)],
  ];
}
