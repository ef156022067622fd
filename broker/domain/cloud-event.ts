/** A notification as it goes out: CloudEvents 1.0, structured mode, in JSON. docs/notifications.md tells each field. */
import type { Channel } from './channel.ts';
import type { NotificationFacts, NotificationType } from './notification.ts';
import type { Secret } from './secret.ts';

/** What an event is made of. */
export interface ToldThing {
  readonly id: string;
  readonly type: NotificationType;
  readonly at: Date;
  readonly oauthClient: string | undefined;
  readonly generation: number | undefined;
  readonly facts: NotificationFacts;
}

/** Where an owner consents anew. */
export interface EventLink {
  readonly url: Secret<string>;
  readonly expiresAt: Date;
}

/**
 * Writes the event. The only place where a link that was made for a notification is revealed: the text is a secret.
 *
 * @param source the broker's public URL
 * @param channel absent where it is about an OAuth client
 * @param link absent where no consent helps
 */
export function cloudEvent(
  told: ToldThing,
  source: string,
  channel: Channel | undefined,
  link: EventLink | undefined,
): string {
  return JSON.stringify({
    specversion: '1.0',
    id: told.id,
    source,
    type: `token-broker.${told.type}`,
    subject: channel?.id ?? told.oauthClient,
    time: told.at.toISOString(),
    datacontenttype: 'application/json',
    data: {
      ...(channel && {
        channel: channel.id,
        channel_name: channel.name,
        tenant: channel.tenant,
        owner: channel.owner,
        youtube_channel_id: channel.grant?.youtubeChannelId ?? null,
        youtube_title: channel.grant?.youtubeTitle ?? null,
        generation: told.generation ?? null,
      }),
      oauth_client: told.oauthClient ?? null,
      ...told.facts,
      ...(channel && {
        consent_link: link ? { url: link.url.reveal(), expires_at: link.expiresAt.toISOString() } : null,
      }),
    },
  });
}
