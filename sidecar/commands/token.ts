/**
 * `sidecar token`: a channel's token from the running sidecar, for shells. A program gets it; a terminal shows what kind
 * of token it is and not the token, which would stay in the scroll-back, unless it is asked to.
 */
import { type Command, InvalidArgumentError } from 'commander';
import * as z from 'zod';
import { loadLocalConfig } from '../config.ts';
import { type CommandContext, type OutputOption, several, withOutput } from './command-context.ts';
import { askSidecar, type Place } from './local-request.ts';
import { showInstant } from './output.ts';

const tokenAnswer = z.object({
  access_token: z.string(),
  token_type: z.string(),
  expires_at: z.string(),
  expires_in: z.number(),
  scopes: z.array(z.string()),
  channel_id: z.string(),
  youtube_channel_id: z.string(),
  stale: z.string().optional(),
});

interface TokenOptions extends OutputOption {
  readonly minTtl?: string;
  readonly scope?: readonly string[];
  readonly url?: string;
  readonly show?: true;
}

export function addTokenCommand(program: Command, { environment, output }: CommandContext): void {
  const command = program
    .command('token')
    .summary('print a channel’s access token')
    .description(
      'Asks the running sidecar for a channel’s access token and prints it to a pipe or a file: curl -H "Authorization: Bearer $(sidecar token CHANNEL)". A terminal is shown its scopes and its end.',
    )
    .argument('<channel>', 'the broker’s channel id, ch_…')
    .option('--min-ttl <seconds>', 'the least life that is of use, up to 3300', toSeconds)
    .option('--scope <scope>', 'a scope that it must have; may be given several times', several)
    .option(
      '--url <url>',
      'where the sidecar is; by default as TOKEN_SIDECAR_URL, SIDECAR_SOCKET or SIDECAR_LISTEN say',
    )
    .option('--show', 'print the token to a terminal, too');
  withOutput(command).action(async (channel: string, options: TokenOptions) => {
    const query = new URLSearchParams();
    if (options.minTtl !== undefined) query.set('min_ttl', options.minTtl);
    if (options.scope) query.set('scope', options.scope.join(' '));
    const path = `/v1/channels/${encodeURIComponent(channel)}/token${query.size > 0 ? `?${query}` : ''}`;
    const headers = { 'X-Sidecar-Request': 'true' };
    const answer = await askSidecar(placeOf(environment, options.url), { path, headers }, tokenAnswer);

    const hidden = output.isTerminal && !options.show;
    const { access_token, ...facts } = answer;
    if (options.output === 'json') output.json(hidden ? facts : answer);
    else if (!output.isTerminal) output.text(`${access_token}\n`);
    else
      output.facts([
        ['channel', answer.channel_id],
        ['youtube channel', answer.youtube_channel_id],
        ['scopes', answer.scopes.join(' ')],
        ['ends', `${showInstant(answer.expires_at)}, in ${answer.expires_in} s`],
        ...(answer.stale === undefined ? [] : [['stale', answer.stale] as const]),
        ...(hidden ? [] : [['token', access_token] as const]),
      ]);
    if (hidden) output.hint('The token is not shown on a terminal; pipe it to where it is used, or add --show.');
  });
}

function placeOf(environment: CommandContext['environment'], wished = environment.TOKEN_SIDECAR_URL): Place {
  if (wished) return { url: wished };
  const { socket, listen } = loadLocalConfig(environment);
  return socket ? { socket: socket.path } : { url: `http://${listen.host}:${listen.port}` };
}

function toSeconds(text: string): string {
  if (!/^\d{1,4}$/.test(text)) throw new InvalidArgumentError('It is a number of seconds.');
  return text;
}
