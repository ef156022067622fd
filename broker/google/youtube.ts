/** Asks YouTube which channel an access token opens (`channels.list`, part `id,snippet`, `mine=true`; one quota unit). */
import * as z from 'zod';
import { BrokerError } from '../errors.ts';
import type { YouTube } from '../ports.ts';

const answer = z.object({
  items: z.array(z.object({ id: z.string().min(1), snippet: z.object({ title: z.string() }).optional() })).default([]),
});

/** @param settings.url base of the YouTube Data API, without `/youtube/v3` */
export function createYouTube(settings: { url: string; deadlineMs: number }): YouTube {
  const url = `${settings.url.replace(/\/$/, '')}/youtube/v3/channels?part=id,snippet&mine=true`;

  return {
    async channelsOf(accessToken) {
      let status: number | undefined;
      try {
        const response = await fetch(url, {
          headers: { authorization: `Bearer ${accessToken.reveal()}`, accept: 'application/json' },
          redirect: 'error',
          signal: AbortSignal.timeout(settings.deadlineMs),
        });
        status = response.status;
        if (response.ok) {
          const { items } = answer.parse(await response.json());
          return items.map((item) => ({ id: item.id, title: item.snippet?.title ?? item.id }));
        }
        await response.body?.cancel();
      } catch (cause) {
        throw new BrokerError('AUTHORIZATION_SERVER_UNAVAILABLE', { detail: 'channels.list did not answer', cause });
      }
      throw new BrokerError('AUTHORIZATION_SERVER_UNAVAILABLE', { detail: `channels.list answered ${status}` });
    },
  };
}
