/** Which scopes identities gave to projects. A consent stands until a revocation reaches it. */
import type { Issued } from './issued.ts';
import type { RevocationBook } from './revocations.ts';
import type { Client, Identity } from './world.ts';

/** The consents so far. */
export interface ConsentBook {
  add(consent: Issued): void;
  /** The scopes that `identity` has given to any client of `project` by consents that still stand. */
  standingScopes(project: string, identity: Identity): readonly string[];
  /** Tells whether `identity` has a standing consent with this very client. */
  stands(client: Client, identity: Identity): boolean;
  /** The scopes that `identity` ever gave to `project`, revoked ones included. */
  everGivenScopes(project: string, identity: Identity): readonly string[];
}

/** Creates an empty book. */
export function createConsentBook({ revocations }: { revocations: RevocationBook }): ConsentBook {
  const consents = new Map<string, Issued[]>();
  const key = (project: string, { sub }: Identity) => `${project} ${sub}`;
  const given = (project: string, identity: Identity) => consents.get(key(project, identity)) ?? [];
  const standing = (project: string, identity: Identity) =>
    given(project, identity).filter((consent) => !revocations.reaches(consent));
  const scopesOf = (some: readonly Issued[]) => [...new Set(some.flatMap(({ scopes }) => scopes))];

  return {
    add(consent) {
      const { client, identity } = consent;
      consents.set(key(client.project, identity), [...given(client.project, identity), consent]);
    },
    standingScopes: (project, identity) => scopesOf(standing(project, identity)),
    stands: ({ clientId, project }, identity) =>
      standing(project, identity).some(({ client }) => client.clientId === clientId),
    everGivenScopes: (project, identity) => scopesOf(given(project, identity)),
  };
}
