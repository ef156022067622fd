/**
 * Makes a person out of the identity token in the `Authorization` header (RFC 6750 §2.1; nowhere else is one looked for).
 * The first call with a token is audited, and so is a call without a good one: the flow sees to it that a scanner cannot
 * fill the audit record.
 */

import { fingerprint } from '../../domain/audit-record.ts';
import type { Person } from '../../domain/caller.ts';
import { Secret } from '../../domain/secret.ts';
import { BrokerError } from '../../errors.ts';
import type { AdminFlows } from '../flows.ts';
import type { RequestContext } from '../request-context.ts';

/** The names of the claims that make a person. */
export interface ClaimNames {
  readonly subject: string;
  readonly name: string;
  readonly groups: string;
}

/** Answers the claims of a good token; throws UNAUTHENTICATED, or another code where it cannot tell. */
export type VerifyIdentity = (jwt: Secret<string>) => Promise<Readonly<Record<string, unknown>>>;

/** Answers who calls; throws UNAUTHENTICATED, or AUDIT_UNAVAILABLE where the refusal cannot be recorded. */
export type Identify = (authorization: string | undefined, context: RequestContext) => Promise<Person>;

export function createIdentify(deps: {
  verifyIdentity: VerifyIdentity;
  claims: ClaimNames;
  recordLogin: AdminFlows['recordLogin'];
  recordDeniedIdentity: AdminFlows['recordDeniedIdentity'];
}): Identify {
  const { verifyIdentity, claims, recordLogin, recordDeniedIdentity } = deps;

  return async (authorization, context) => {
    const token = /^Bearer +([A-Za-z0-9._~+/-]+=*) *$/i.exec(authorization ?? '')?.[1];
    try {
      if (!token) throw new BrokerError('UNAUTHENTICATED', { detail: 'no bearer token' });
      const proven = await verifyIdentity(new Secret(token));
      const person = personOf(proven, claims, context);
      await recordLogin(person, credentialOf(token, proven, person));
      return person;
    } catch (error) {
      if (error instanceof BrokerError && error.code === 'UNAUTHENTICATED') {
        const { requestId, ip } = context;
        await recordDeniedIdentity({ requestId, ip, detail: error.detail ?? 'not good' });
      }
      throw error;
    }
  };
}

function credentialOf(token: string, claims: Readonly<Record<string, unknown>>, person: Person) {
  const id = fingerprint(token);
  const expires = typeof claims.exp === 'number' ? { expiresAt: new Date(claims.exp * 1000).toISOString() } : {};
  return { id, facts: { identityToken: id, groups: person.groups, ...expires } };
}

function personOf(
  claims: Readonly<Record<string, unknown>>,
  names: ClaimNames,
  { ip, requestId, reason }: RequestContext,
): Person {
  const subject = claims[names.subject];
  if (typeof subject !== 'string' || subject === '') {
    throw new BrokerError('UNAUTHENTICATED', { detail: `the token has no claim ${names.subject}` });
  }
  const name = claims[names.name];
  const groups = claims[names.groups];
  return {
    kind: 'person',
    subject,
    displayName: typeof name === 'string' && name !== '' ? name : undefined,
    groups: [groups].flat().filter((group): group is string => typeof group === 'string' && group !== ''),
    ip,
    requestId,
    ...(reason !== undefined && { reason }),
  };
}
