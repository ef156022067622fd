/**
 * Who calls, for each connection: looked up once, when it opens, and remembered until it closes. A request on a
 * connection that is known costs no look.
 */
import type { Socket } from 'node:net';
import type { ServingObserver } from '../observe.ts';
import type { AllowList } from './allow-list.ts';
import type { CallRate } from './call-rate.ts';
import type { Caller, CallerFacts } from './caller.ts';
import type { FindPeer } from './peer-table.ts';
import type { FindProcess } from './process-finder.ts';

/** One user may hold so many connections; without this, one could hold them all and leave none to the worker. */
const MOST_CONNECTIONS_OF_ONE = 256;

export interface Callers {
  /** Begins to look up who has opened a connection. */
  greet(socket: Socket): void;
  /** Who it is, where that is known already. */
  known(socket: Socket): Caller | undefined;
  /** Who it is; waits for the look. */
  find(socket: Socket): Promise<Caller>;
}

export interface CallersOptions {
  readonly allowList: AllowList;
  readonly rate: CallRate;
  /** Undefined where this system does not tell who calls. */
  readonly findPeer: FindPeer | undefined;
  readonly findProcess: FindProcess | undefined;
  readonly observer: Pick<ServingObserver, 'attested'>;
  /** Milliseconds that only ever grow. */
  readonly monotonic: () => number;
}

export function createCallers(options: CallersOptions): Callers {
  const { allowList, rate, findPeer, findProcess, observer, monotonic } = options;
  const callers = new WeakMap<Socket, Caller>();
  const looks = new WeakMap<Socket, Promise<Caller>>();
  /** user → open connections */
  const connections = new Map<string, number>();

  const look = async (socket: Socket): Promise<Caller> => {
    const begun = monotonic();
    const address = addressOf(socket);
    const peer = address && (await findPeer?.(address));
    if (address && findPeer) observer.attested(peer !== undefined, monotonic() - begun);
    const caller = createCaller({ socket: address === undefined, uid: peer?.uid, process: undefined });
    if (peer && findProcess) {
      const found = findProcess(peer).then((process) => {
        caller.process = process;
      });
      // Elsewhere it is for the log alone, and nobody waits for it.
      if (allowList.needsProcess) await found;
    }
    callers.set(socket, caller);
    count(socket, keyOf(caller));
    return caller;
  };

  const createCaller = (facts: CallerFacts): Caller => {
    const known = new Map<string, boolean>();
    const bucket = rate.of(keyOf(facts));
    const caller: Caller = {
      ...facts,
      mayRead(channelId) {
        let may = known.get(channelId);
        if (may === undefined) {
          may = allowList.mayRead(caller, channelId);
          if (known.size < 1_000) known.set(channelId, may);
        }
        return may;
      },
      takeTurn: bucket.take,
      notes: new WeakMap(),
    };
    return caller;
  };

  const count = (socket: Socket, key: string): void => {
    const open = (connections.get(key) ?? 0) + 1;
    connections.set(key, open);
    socket.once('close', () => {
      const left = (connections.get(key) ?? 1) - 1;
      if (left > 0) connections.set(key, left);
      else connections.delete(key);
    });
    if (open > MOST_CONNECTIONS_OF_ONE) socket.destroy();
  };

  const find = (socket: Socket): Promise<Caller> => {
    const found = looks.get(socket) ?? look(socket);
    looks.set(socket, found);
    return found;
  };

  return { greet: (socket) => void find(socket), known: (socket) => callers.get(socket), find };
}

function keyOf({ socket, uid }: CallerFacts): string {
  if (socket) return 'socket';
  return uid === undefined ? 'unknown' : String(uid);
}

/** Of a TCP connection; a Unix socket has none. */
function addressOf({ localAddress, localPort, remoteAddress, remotePort }: Socket) {
  if (localAddress === undefined || localPort === undefined) return undefined;
  if (remoteAddress === undefined || remotePort === undefined) return undefined;
  return { localAddress, localPort, remoteAddress, remotePort };
}
