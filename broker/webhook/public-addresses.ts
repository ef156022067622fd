/**
 * Which addresses a notification may be sent to. A URL is text that somebody wrote, and a name leads wherever its owner
 * wants at the moment; so the address is looked at when the connection is made, and the connection is made to the very
 * address that was looked at.
 */
import { lookup as systemLookup } from 'node:dns';
import { BlockList, isIP, type LookupFunction } from 'node:net';

/** IPv4 networks that are not on the public internet (IANA, special-purpose addresses; RFC 6890). */
const specialV4 = [
  '0.0.0.0/8',
  '10.0.0.0/8',
  '100.64.0.0/10',
  '127.0.0.0/8',
  '169.254.0.0/16',
  '172.16.0.0/12',
  '192.0.0.0/24',
  '192.0.2.0/24',
  '192.88.99.0/24',
  '192.168.0.0/16',
  '198.18.0.0/15',
  '198.51.100.0/24',
  '203.0.113.0/24',
  '224.0.0.0/3',
];
/** Of IPv6 only this is the public internet, and these parts of it are not, or lead to an IPv4 address. */
const publicV6 = '2000::/3';
const specialV6 = ['2001::/23', '2001:db8::/32', '2002::/16', '3fff::/20'];

const special = blockList([...specialV4, ...specialV6]);
const global = blockList([publicV6]);

/** An address that a notification may not be sent to. */
export class AddressRefused extends Error {
  override readonly name = 'AddressRefused';
  readonly code = 'EADDRESSREFUSED';
}

export type MayConnect = (address: string) => boolean;

/** Public addresses, and those in the networks that are allowed besides. */
export function mayConnectTo(allowed: readonly string[]): MayConnect {
  const listed = blockList(allowed);
  return (address) => {
    const family = isIP(address) === 6 ? 'ipv6' : 'ipv4';
    if (isIP(address) === 0) return false;
    if (listed.check(address, family)) return true;
    if (special.check(address, family)) return false;
    return family === 'ipv4' || global.check(address, family);
  };
}

/** Looks a name up and answers only addresses that may be connected to; fails with `AddressRefused` where none may. */
export function guardedLookup(mayConnect: MayConnect, lookup: LookupFunction = systemLookup): LookupFunction {
  return (hostname, options, callback) => {
    lookup(hostname, { ...options, all: true }, (error, found) => {
      if (error) return callback(error, []);
      const addresses = Array.isArray(found) ? found : [{ address: found, family: isIP(found) }];
      const open = addresses.filter(({ address }) => mayConnect(address));
      const [first] = open;
      if (!first) return callback(new AddressRefused('the name leads to no address that is allowed'), []);
      if (options.all) return callback(null, open);
      callback(null, first.address, first.family);
    });
  };
}

function blockList(networks: readonly string[]): BlockList {
  const list = new BlockList();
  for (const network of networks) {
    const [address = '', bits] = network.split('/');
    const family = isIP(address) === 6 ? 'ipv6' : 'ipv4';
    list.addSubnet(address, bits === undefined ? (family === 'ipv6' ? 128 : 32) : Number(bits), family);
  }
  return list;
}
