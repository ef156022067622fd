/**
 * Which local callers may have which channel's tokens: `CHANNEL=CALLER|CALLER,…`, where `*` stands for every channel
 * that has no entry of its own, and a CALLER is one or more conditions with `+` between, which must all hold:
 *
 *   self          the user that the sidecar runs as
 *   uid:1001      that user
 *   exe:/path     that program, where it is to be seen
 *   cgroup:/path  that control group or one below it, where it is to be seen
 *   socket        whoever may open the Unix socket
 *   any           whoever sends the required header
 */
import type { CallerFacts } from './caller.ts';

/** The sidecar's own user and root: whoever could take the tokens out of its memory anyway. */
export const DEFAULT_CALLERS = '*=self|uid:0|socket';
const EVERY_OTHER = '*';

type Condition = (caller: CallerFacts) => boolean;
type Alternative = readonly Condition[];

export interface AllowList {
  mayRead(caller: CallerFacts, channelId: string): boolean;
  /** Whether a rule cannot be decided without the process behind a connection. */
  readonly needsProcess: boolean;
  /** Whether a rule cannot be decided without the user behind a connection. */
  readonly needsUser: boolean;
}

/**
 * Reads a list.
 *
 * @param ownUid The user id that `self` means.
 * @throws Error that says which part is malformed.
 */
export function parseAllowList(text: string, ownUid: number): AllowList {
  const channels = new Map<string, readonly Alternative[]>();
  for (const entry of text.split(',').map((part) => part.trim())) {
    if (entry === '') continue;
    const [, channel, callers] = /^(\*|[A-Za-z0-9_-]{1,64})=(.+)$/.exec(entry) ?? [];
    if (channel === undefined || callers === undefined) throw new Error(`${entry} is not CHANNEL=CALLER|CALLER`);
    if (channels.has(channel)) throw new Error(`${channel} is there twice`);
    channels.set(
      channel,
      callers.split('|').map((caller) => caller.split('+').map((condition) => conditionOf(condition, ownUid))),
    );
  }
  if (channels.size === 0) throw new Error('it lets nobody read anything');
  const mayRead = (caller: CallerFacts, channelId: string): boolean =>
    (channels.get(channelId) ?? channels.get(EVERY_OTHER) ?? []).some((all) => all.every((holds) => holds(caller)));
  return { mayRead, needsProcess: /\b(exe|cgroup):/.test(text), needsUser: /\b(self\b|uid:|exe:|cgroup:)/.test(text) };
}

function conditionOf(text: string, ownUid: number): Condition {
  const [, kind, value = ''] = /^(self|socket|any|uid(?=:)|exe(?=:)|cgroup(?=:))(?::(.+))?$/.exec(text) ?? [];
  switch (kind) {
    case 'self':
    case 'socket':
    case 'any':
      if (value !== '') break;
      if (kind === 'self') return ({ uid }) => uid === ownUid;
      return kind === 'socket' ? ({ socket }) => socket : () => true;
    case 'uid':
      if (!/^\d{1,10}$/.test(value)) break;
      return ({ uid }) => uid === Number(value);
    case 'exe':
      if (!value.startsWith('/')) break;
      return ({ process }) => process?.exe === value;
    case 'cgroup':
      if (!value.startsWith('/')) break;
      return ({ process }) => process?.cgroup === value || process?.cgroup?.startsWith(`${value}/`) === true;
  }
  throw new Error(`${text} is none of self, uid:N, exe:/PATH, cgroup:/PATH, socket, any`);
}
