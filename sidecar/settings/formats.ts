/** How single settings are written: what is malformed is told, and never replaced by a default. */
import { isIP } from 'node:net';
import * as z from 'zod';
import { parseSpiffeId } from '../../identity/spiffe-id.ts';
import type { ListenAddress, LoopbackAddress } from '../endpoints/listen.ts';

export const port = z
  .string()
  .regex(/^\d{1,5}$/, 'is not a port')
  .transform(Number)
  .refine((n) => n < 65_536, 'is not a port');

export const seconds = z
  .string()
  .regex(/^[1-9]\d{0,3}$/, 'is not a number of seconds from 1 to 9999')
  .transform((text) => Number(text));

export const filePath = z.string().min(1, 'is empty');

export const mount = z
  .string()
  .regex(/^[A-Za-z0-9_-][A-Za-z0-9_.-]*(\/[A-Za-z0-9_-][A-Za-z0-9_.-]*)*$/, 'is not a path of a mount');

const CHANNEL_ID = /^[A-Za-z0-9_-]{1,64}$/;

/** `CHANNEL_ID,…`; each once. */
export const channelIds = z.string().transform((text, context): readonly string[] => {
  const channels = new Set<string>();
  for (const channel of text
    .split(',')
    .map((part) => part.trim())
    .filter(Boolean)) {
    if (!CHANNEL_ID.test(channel)) context.addIssue(`has ${channel}, which is not the id of a channel`);
    else if (channels.has(channel)) context.addIssue(`names the channel ${channel} twice`);
    else channels.add(channel);
  }
  return [...channels];
});

export const spiffeId = z.string().transform(parsedWith(parseSpiffeId));

export const loopback = z.string().transform((text, context): LoopbackAddress => {
  const [, host, digits] = /^(127(?:\.\d{1,3}){3}|\[::1\]):(\d+)$/.exec(text) ?? [];
  const parsed = port.safeParse(digits);
  if (host !== undefined && parsed.success) return { host, port: parsed.data };
  context.addIssue(
    'is not a loopback address with a port, for example 127.0.0.1:7070; tokens are for this machine only',
  );
  return z.NEVER;
});

/** Any address of this machine: an IPv4 address, or an IPv6 address in brackets, with a port. */
export const address = z.string().transform((text, context): ListenAddress => {
  const [, host = '', digits] = /^([0-9.]+|\[[0-9a-fA-F:.]+\]):(\d+)$/.exec(text) ?? [];
  const parsed = port.safeParse(digits);
  if (isIP(host.replace(/^\[|\]$/g, '')) !== 0 && parsed.success) return { host, port: parsed.data };
  context.addIssue('is not an IP address with a port, for example 127.0.0.1:7071 or 0.0.0.0:7071');
  return z.NEVER;
});

/** Makes a step of a schema from a parser that throws an Error saying which rule is broken. */
export function parsedWith<T>(parse: (text: string) => T) {
  return (text: string, context: z.RefinementCtx): T => {
    try {
      return parse(text);
    } catch (error) {
      context.addIssue(`is malformed: ${error instanceof Error ? error.message : String(error)}`);
      return z.NEVER;
    }
  };
}
