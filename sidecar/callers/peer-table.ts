/**
 * Finds the user at the other end of a TCP connection on this machine in `/proc/net/tcp` and `/proc/net/tcp6`.
 *
 * The kernel lists both ends of a loopback connection; the caller's is the one whose local address is our remote one. An
 * end that nobody holds any more is listed with user 0 and inode 0, and must not be taken for root's: so what has no
 * inode is nobody. The other end cannot be somebody else's later: while we hold ours, the pair of addresses is taken.
 *
 * Reading the table costs milliseconds, whatever is sought: the kernel hands it out in pages, a hundred for a few thousand
 * connections. It is read in one go, since a way through the thread pool for each page costs more than the page. All
 * connections that come together share a look, and looks take half of the time at most, however many come.
 */
import { isIPv6 } from 'node:net';
import { endianness } from 'node:os';
import { setTimeout as pause } from 'node:timers/promises';

/** A connection as this side sees it. */
export interface Connection {
  readonly localAddress: string;
  readonly localPort: number;
  readonly remoteAddress: string;
  readonly remotePort: number;
}

/** The socket at the other end. */
export interface PeerSocket {
  readonly uid: number;
  readonly inode: string;
}

/** Looks up the other end; undefined where the system does not say. */
export type FindPeer = (connection: Connection) => Promise<PeerSocket | undefined>;

/** `/proc/net/tcp` and `/proc/net/tcp6`, as text. */
export type ReadTables = () => readonly string[];

/** The table is read in pieces while connections come and go, so that one may be missed. */
const MOST_LOOKS = 3;

/** @param steady Milliseconds that only ever grow. */
export function createPeerTable(readTables: ReadTables, steady: () => number): FindPeer {
  let next: Promise<readonly string[]> | undefined;
  let rested = 0;

  /** A look that begins after now. */
  const look = (): Promise<readonly string[]> => {
    next ??= pause(Math.max(0, rested - steady())).then(() => {
      next = undefined;
      const begun = steady();
      try {
        return readTables();
      } finally {
        rested = 2 * steady() - begun;
      }
    });
    return next;
  };

  return async (connection) => {
    for (let looks = 0; looks < MOST_LOOKS; looks += 1) {
      const tables = await look().catch(() => []);
      const found = findIn(tables, connection);
      if (found) return found;
    }
    return undefined;
  };
}

/** Finds the other end of a connection in the tables. */
export function findIn(tables: readonly string[], connection: Connection): PeerSocket | undefined {
  const { localAddress, localPort, remoteAddress, remotePort } = connection;
  for (const inTable of [inHex, inMappedHex]) {
    const [peer, own] = [inTable(remoteAddress, remotePort), inTable(localAddress, localPort)];
    if (peer === undefined || own === undefined) continue;
    for (const table of tables) {
      const found = socketAt(table, table.indexOf(` ${peer} ${own} `));
      if (found) return found;
    }
  }
  return undefined;
}

/** Reads the line that this place is in: … state queues timer retransmits uid timeout inode … */
function socketAt(table: string, place: number): PeerSocket | undefined {
  if (place < 0) return undefined;
  const end = table.indexOf('\n', place);
  const [, , , , , , uid, , inode] = table
    .slice(place, end < 0 ? undefined : end)
    .trim()
    .split(/\s+/);
  if (uid === undefined || inode === undefined || !/^\d+$/.test(uid) || !/^[1-9]\d*$/.test(inode)) return undefined;
  return { uid: Number(uid), inode };
}

/** As the kernel writes an address: 32-bit words in the machine's order, in hexadecimal. */
function inHex(address: string, port: number): string | undefined {
  const bytes = isIPv6(address) ? ipv6Bytes(address) : ipv4Bytes(address);
  return bytes && `${words(bytes)}:${port.toString(16).toUpperCase().padStart(4, '0')}`;
}

/** An IPv4 address as a program with an IPv6 socket has it, for example one in Java. */
function inMappedHex(address: string, port: number): string | undefined {
  const bytes = ipv4Bytes(address);
  if (!bytes) return undefined;
  return `${words([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, ...bytes])}:${port.toString(16).toUpperCase().padStart(4, '0')}`;
}

function ipv4Bytes(address: string): number[] | undefined {
  const parts = address.replace(/^::ffff:/i, '').split('.');
  return parts.length === 4 ? parts.map(Number) : undefined;
}

/** Of `::1`, which is the one IPv6 address that is listened on. */
function ipv6Bytes(address: string): number[] | undefined {
  if (address !== '::1') return ipv4Bytes(address);
  return [...Array<number>(15).fill(0), 1];
}

function words(bytes: readonly number[]): string {
  const hex = bytes.map((byte) => byte.toString(16).toUpperCase().padStart(2, '0'));
  if (endianness() === 'BE') return hex.join('');
  let text = '';
  for (let at = 0; at < hex.length; at += 4)
    text += hex
      .slice(at, at + 4)
      .reverse()
      .join('');
  return text;
}
