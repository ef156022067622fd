/** `GET /v1/channels`: which channels are served here, how, and how they are; never a token. */
import type { TokenSource } from '../token-source.ts';

export const JSON_TYPE = { 'Content-Type': 'application/json' };

/** A channel as the list shows it. */
interface ListedChannel {
  readonly channel_id: string;
  readonly youtube_channel_id: string | undefined;
  /** Where Google's metadata protocol speaks for it. */
  readonly gce_metadata_host: string | undefined;
  /** For `GOOGLE_APPLICATION_CREDENTIALS`. */
  readonly credential_file: string | undefined;
  /** What is held of its token. */
  readonly token: { expires_at: string; scopes: readonly string[]; stale: string | undefined } | undefined;
  /** Why there is none, or why it is not replaced. */
  readonly problem: string | undefined;
}

/** Lists the channels that the caller may read. */
export type DescribeChannels = (mayRead: (channelId: string) => boolean) => readonly ListedChannel[];

export interface ChannelsOptions {
  readonly tokens: Pick<TokenSource, 'list'>;
  /** Channel id → `http://HOST:PORT`, and → the path of the file. */
  readonly gceUrls: ReadonlyMap<string, string>;
  readonly credentialFiles: ReadonlyMap<string, string>;
}

export function createDescribeChannels({ tokens, gceUrls, credentialFiles }: ChannelsOptions): DescribeChannels {
  return (mayRead) => {
    const held = new Map(tokens.list().map((each) => [each.channelId, each]));
    const ids = new Set([...gceUrls.keys(), ...credentialFiles.keys(), ...held.keys()]);
    return [...ids].filter(mayRead).map((channelId) => {
      const { served, problem } = held.get(channelId) ?? {};
      const url = gceUrls.get(channelId);
      return {
        channel_id: channelId,
        youtube_channel_id: served?.token.youtubeChannelId,
        gce_metadata_host: url === undefined ? undefined : new URL(url).host,
        credential_file: credentialFiles.get(channelId),
        token: served && {
          expires_at: new Date(served.token.expiresAt).toISOString(),
          scopes: served.token.scopes,
          stale: served.stale,
        },
        problem,
      };
    });
  };
}
