/**
 * Finds the IP address of the client for the audit record. The headers that a gateway adds (`X-Forwarded-For`, and
 * `Forwarded` of RFC 7239) are believed only when the connection itself comes from a configured proxy, and then read
 * from the right: everything left of the first address that is no proxy of ours may be the client's invention.
 *
 * A gateway that sets one of the two headers passes the other on as the client wrote it. Where both are there and do not
 * agree, nobody can say which one is true: the answer is then "not known", and a client gains nothing by lying.
 */
import type { IncomingHttpHeaders } from 'node:http';
import { BlockList, isIP, isIPv6 } from 'node:net';

/** Answers the client's address without port; undefined where it is not known. */
export type ClientIp = (peer: string | undefined, headers: IncomingHttpHeaders) => string | undefined;

/** @param trustedProxies networks in CIDR notation, or single addresses. */
export function createClientIp(trustedProxies: readonly string[]): ClientIp {
  const trusted = new BlockList();
  for (const network of trustedProxies) add(trusted, network);
  const isTrusted = (address: string): boolean => trusted.check(address, isIPv6(address) ? 'ipv6' : 'ipv4');

  /** The rightmost address that is not a trusted proxy; the leftmost where all are. */
  function clientOf(hops: readonly (string | undefined)[]): string | undefined {
    const untrusted = hops.findLastIndex((hop) => hop === undefined || !isTrusted(hop));
    return hops[Math.max(untrusted, 0)];
  }

  return (rawPeer, headers) => {
    const peer = rawPeer === undefined ? undefined : addressOf(rawPeer);
    if (peer === undefined || !isTrusted(peer)) return peer;
    const answers = [forwardedFor(headers), forwarded(headers)].filter((hops) => hops.length > 0).map(clientOf);
    if (answers.length === 0) return peer;
    return answers.every((answer) => answer === answers[0]) ? answers[0] : undefined;
  };
}

function forwardedFor(headers: IncomingHttpHeaders): readonly (string | undefined)[] {
  const header = headers['x-forwarded-for'];
  if (header === undefined) return [];
  return [header].flat().join(',').split(',').map(addressOf);
}

/** The `for` of each element of `Forwarded` (RFC 7239 §4); an element without one is a hop that is not known. */
function forwarded(headers: IncomingHttpHeaders): readonly (string | undefined)[] {
  const { forwarded: header } = headers;
  if (header === undefined) return [];
  return splitOutsideQuotes([header].flat().join(','), ',').map((element) => {
    for (const pair of splitOutsideQuotes(element, ';')) {
      const match = /^\s*for\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s"]+))\s*$/i.exec(pair);
      if (match) return addressOf((match[1] ?? match[2] ?? '').replace(/\\(.)/g, '$1'));
    }
    return undefined;
  });
}

function splitOutsideQuotes(text: string, separator: ',' | ';'): readonly string[] {
  const parts = text.match(separator === ',' ? /(?:"(?:[^"\\]|\\.)*"|[^,"])+/g : /(?:"(?:[^"\\]|\\.)*"|[^;"])+/g);
  return parts ?? [''];
}

/** The address in `1.2.3.4`, `1.2.3.4:567`, `2001:db8::1` or `[2001:db8::1]:567`; undefined for `unknown` and `_hidden`. */
function addressOf(node: string): string | undefined {
  const text = node.trim();
  const bare = /^\[([^\]]+)\](?::\d{1,5})?$/.exec(text)?.[1] ?? /^([\d.]+):\d{1,5}$/.exec(text)?.[1] ?? text;
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(bare)?.[1];
  const address = (mapped ?? bare).toLowerCase();
  return isIP(address) === 0 || address.includes('%') ? undefined : address;
}

function add(list: BlockList, network: string): void {
  const [address = '', bits] = network.split('/');
  const family = isIPv6(address) ? 'ipv6' : 'ipv4';
  if (bits === undefined) list.addAddress(address, family);
  else list.addSubnet(address, Number(bits), family);
}
