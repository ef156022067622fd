/** Who is at the other end of a local connection, as the operating system says and not as the request does. */
import type { TokenWish } from '../token-policy.ts';
import type { ServedToken } from '../token-source.ts';

/** A process, where this one may see it: with a process namespace of its own, or another user's, it may not. */
export interface Process {
  readonly pid: number;
  /** The path of the program; undefined where it is not to be seen. */
  readonly exe: string | undefined;
  /** The path of its control group, version 2; undefined where it has none. */
  readonly cgroup: string | undefined;
}

/** The facts that rules are about. */
export interface CallerFacts {
  /** Whether it came by the Unix socket: then its mode and group have decided, and Node does not say who it is. */
  readonly socket: boolean;
  /** The user id of the connection's other end; undefined where the system did not say. */
  readonly uid: number | undefined;
  readonly process: Process | undefined;
}

/** The caller on one connection. */
export interface Caller extends CallerFacts {
  /** May be found out after the first request. */
  process: Process | undefined;
  /** Whether the allow-list has him for the channel. */
  mayRead(channelId: string): boolean;
  /** Whether he may ask now; counts. */
  takeTurn(now: number): boolean;
  /** What was written down of his former requests, so that the same request is written by the same words. */
  readonly notes: WeakMap<TokenWish, ReleaseNote>;
}

/** The words of a line in the log, and what they were made of. */
export interface ReleaseNote {
  readonly served: ServedToken;
  readonly process: Process | undefined;
  readonly text: string;
}

/** In words, for the caller himself and for the log. */
export function describe({ socket, uid, process }: CallerFacts): string {
  if (socket) return 'the Unix socket';
  if (uid === undefined) return 'a user that the system does not name';
  return process?.exe === undefined ? `uid ${uid}` : `uid ${uid}, ${process.exe}`;
}
