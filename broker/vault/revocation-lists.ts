/**
 * The certificate revocation lists of Vault's PKI, one for each issuer of the mount, each verified to be signed by it. A list
 * that is still the same is not read anew, and which issuers there are is asked once in a minute: so a look that finds nothing
 * new costs one request for each issuer.
 */
import { z } from 'zod';
import { readCrl } from '../../identity/x509.ts';
import { BrokerError } from '../errors.ts';
import type { Clock, RevocationList, RevocationLists } from '../ports.ts';
import type { VaultConnection } from './connection.ts';

const crlAnswer = z.object({ crl: z.string() });
const issuerAnswer = z.object({ certificate: z.string() });

/** A new issuer is noticed within this time. */
const lookForIssuersEveryMs = 60_000;

interface Known {
  readonly pem: string;
  readonly list: RevocationList;
}

export function createRevocationLists(deps: {
  readonly vault: VaultConnection;
  readonly pki: string;
  readonly clock: Clock;
}): RevocationLists {
  const { vault, pki, clock } = deps;
  const known = new Map<string, Known>();
  let issuers: { readonly ids: readonly string[]; readonly at: number } | undefined;

  async function listOf(issuer: string): Promise<RevocationList | undefined> {
    const pem = (await vault.find(`${pki}/issuer/${issuer}/crl`, crlAnswer))?.crl.trim();
    // An issuer whose key is elsewhere has none here.
    if (!pem) return undefined;
    const former = known.get(issuer);
    if (former?.pem === pem) return former.list;
    const list = await read(issuer, pem);
    known.set(issuer, { pem, list });
    return list;
  }

  async function read(issuer: string, pem: string): Promise<RevocationList> {
    const { certificate } = await vault.read(`${pki}/issuer/${issuer}/json`, issuerAnswer);
    try {
      const { thisUpdate, nextUpdate, serials, isSignedBy } = readCrl(pem);
      if (await isSignedBy(certificate)) return { issuer, thisUpdate, nextUpdate, serials };
    } catch (cause) {
      throw new BrokerError('REVOCATIONS_UNKNOWN', { detail: `the list of issuer ${issuer} cannot be read`, cause });
    }
    throw new BrokerError('REVOCATIONS_UNKNOWN', { detail: `the list of issuer ${issuer} is not signed by it` });
  }

  return {
    async fetch() {
      const now = clock.now().getTime();
      if (!issuers || Math.abs(now - issuers.at) >= lookForIssuersEveryMs)
        issuers = { ids: await vault.list(`${pki}/issuers`), at: now };
      const lists = await Promise.all(issuers.ids.map(listOf));
      return lists.filter((list) => list !== undefined);
    },
    async renew() {
      await vault.read(`${pki}/crl/rotate`, z.unknown());
    },
  };
}
