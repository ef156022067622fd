/**
 * One line in the sidecar's log for each token that is given away: who got which channel's token on which interface, for
 * which scopes, until when. Never the token; its fingerprint is that of the broker's audit record, where the same token
 * can be found.
 *
 * Lines are gathered for a moment and written together, and the words of a line are kept for the next request of the
 * same connection. The broker has recorded the release before: a sidecar that is killed loses the lines of that moment.
 */
import { hash } from 'node:crypto';
import type { LocalInterface } from '../observe.ts';
import type { TokenWish } from '../token-policy.ts';
import type { ServedToken } from '../token-source.ts';
import type { Caller } from './caller.ts';

/** Long enough for the look at the process, too. */
const GATHER_MS = 25;
const MOST_GATHERED = 512;

export interface ReleaseLog {
  /** Notes a release; the wish is the same object for the same request. */
  note(on: LocalInterface, caller: Caller, wish: TokenWish, served: ServedToken): void;
  /** Writes what is gathered. */
  flush(): void;
}

export interface ReleaseLogOptions {
  /** Takes whole lines. */
  readonly write: (lines: string) => void;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

export function createReleaseLog({ write, now }: ReleaseLogOptions): ReleaseLog {
  let gathered: { at: number; on: LocalInterface; caller: Caller; wish: TokenWish; served: ServedToken }[] = [];
  let timer: NodeJS.Timeout | undefined;

  const flush = (): void => {
    clearTimeout(timer);
    timer = undefined;
    const lines = gathered;
    gathered = [];
    if (lines.length === 0) return;
    let text = '';
    let [instant, time] = [0, ''];
    for (const { at, on, caller, wish, served } of lines) {
      if (at !== instant) [instant, time] = [at, new Date(at).toISOString()];
      text += `{"level":"info","time":"${time}"${textOf(on, caller, wish, served)}`;
    }
    write(text);
  };

  return {
    note(on, caller, wish, served) {
      gathered.push({ at: now(), on, caller, wish, served });
      if (gathered.length >= MOST_GATHERED) flush();
      else timer ??= setTimeout(flush, GATHER_MS);
    },
    flush,
  };
}

function textOf(on: LocalInterface, caller: Caller, wish: TokenWish, served: ServedToken): string {
  const known = caller.notes.get(wish);
  if (known?.served === served && known.process === caller.process) return known.text;
  const { token, stale } = served;
  const { socket, uid, process } = caller;
  const facts = {
    service: 'sidecar',
    interface: on,
    channel: token.channelId,
    caller: socket ? 'socket' : undefined,
    uid,
    pid: process?.pid,
    exe: process?.exe,
    cgroup: process?.cgroup,
    scopes: wish.scopes.length > 0 ? wish.scopes : token.scopes,
    accessToken: hash('sha256', token.accessToken, 'hex').slice(0, 16),
    expiresAt: new Date(token.expiresAt).toISOString(),
    stale,
    msg: 'access token released',
  };
  const text = `,${JSON.stringify(facts).slice(1)}\n`;
  caller.notes.set(wish, { served, process, text });
  return text;
}
