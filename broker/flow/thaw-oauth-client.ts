import { auditRecord } from '../domain/audit-record.ts';
import { callerName, type Person } from '../domain/caller.ts';
import type { IncidentKind } from '../domain/client-incident.ts';
import { BrokerError } from '../errors.ts';
import type { ClientIncident, Clock, Store, Suspect, Thawed } from '../ports.ts';
import type { Authorize } from './authorize.ts';
import { invalid } from './input.ts';
import { recordOfRestored } from './oauth-client-incidents.ts';

const mostListed = 100;
const mostSuspects = 1_000;

export interface ShownIncident {
  readonly incident: ClientIncident;
  /** Those whose state was changed before the incident was known come first. */
  readonly suspects: readonly Suspect[];
  /** How many there are in all. */
  readonly total: number;
}

export interface ThawRequest {
  readonly oauthClient: string;
  readonly kind: IncidentKind;
  /** Google is right, and the grants are dead: changes nothing back, and believes what it says for a day. */
  readonly believe: boolean;
}

/** What operators do with the incidents of OAuth clients. */
export function createOAuthClientIncidentFlows(deps: {
  readonly authorize: Authorize;
  readonly store: Store;
  readonly clock: Clock;
  /** What is due again is refreshed at once. */
  readonly onThawed: () => void;
}) {
  const { authorize, store, clock, onThawed } = deps;
  const incidents = store.clientIncidents;

  return {
    /** The open ones; with `all`, also the newest of those that are over. */
    async list(caller: Person, input: { readonly all: boolean }): Promise<readonly ClientIncident[]> {
      await authorize.operator(caller, 'oauth-client.incident-list');
      await authorize.looked(caller, 'oauth-client.incident-list', {});
      return input.all ? incidents.list({ limit: mostListed }) : incidents.open();
    },

    /** The open incidents of an OAuth client, each with the channels that it is about. */
    async show(caller: Person, input: { readonly oauthClient: string }): Promise<readonly ShownIncident[]> {
      await authorize.operator(caller, 'oauth-client.incident-list');
      if (!(await store.oauthClients.find(input.oauthClient))) throw new BrokerError('OAUTH_CLIENT_NOT_FOUND');
      await authorize.looked(caller, 'oauth-client.incident-list', {}, { oauthClient: input.oauthClient });
      const open = (await incidents.open()).filter(({ oauthClient }) => oauthClient === input.oauthClient);
      return Promise.all(
        open.map(async (incident) => ({ incident, ...(await incidents.suspects(incident.id, mostSuspects)) })),
      );
    },

    /** Ends an open incident by hand. */
    async thaw(caller: Person, { oauthClient, kind, believe }: ThawRequest): Promise<Thawed> {
      await authorize.operator(caller, 'oauth-client.incident-end');
      if (!(await store.oauthClients.find(oauthClient))) throw new BrokerError('OAUTH_CLIENT_NOT_FOUND');
      if (believe && kind !== 'mass_invalid_grant') throw invalid('believe: for mass_invalid_grant only');
      const at = clock.now();
      const ending = believe ? 'believed' : 'thawed';
      const thawed = await incidents.end(
        { oauthClient, kind, ending, at, by: callerName(caller) },
        ({ restored }) => {
          const facts = { oauthClient, kind, ending, restored: restored.map(({ channel }) => channel) };
          return auditRecord(at, caller, 'oauth-client.incident-end', 'ok', {}, facts);
        },
        (channel, tenant) => recordOfRestored(at, caller, channel, tenant),
      );
      onThawed();
      return thawed;
    },
  };
}
