/**
 * Tells an OAuth client's trouble from a channel's. Where Google refuses the client itself, or calls many grants of one
 * client dead at once, an incident is opened, once for all replicas: from then on nothing that Google says of these grants
 * changes a channel or is told to its owner, until a success shows that it is over, or a person says so.
 */
import { auditRecord } from '../domain/audit-record.ts';
import type { Caller } from '../domain/caller.ts';
import { type FreezeRules, type IncidentKind, isProofFinding } from '../domain/client-incident.ts';
import type { TokenEndpointFailure } from '../domain/token-endpoint-failure.ts';
import { BrokerError, type ErrorCode } from '../errors.ts';
import type { ClientIncident, Clock, RefreshClaim, Store } from '../ports.ts';

/** How old what is known of open incidents may be; this replica's own are known at once. */
const lookEveryMs = 5_000;

export interface OAuthClientIncidents {
  /**
   * Whether what Google said of a grant, or a proof found, is not to be believed for now. Ask it before a grant is ended, and
   * only of what has been confirmed: each `invalid_grant` and each finding is counted.
   */
  withholds(caller: Caller, claim: RefreshClaim, failure: Pick<TokenEndpointFailure, 'error'>): Promise<boolean>;
  /** Google refused the client. */
  rejected(caller: Caller, claim: RefreshClaim, failure: Pick<TokenEndpointFailure, 'error'>): Promise<void>;
  /** A refresh succeeded. */
  succeeded(caller: Caller, claim: RefreshClaim): Promise<void>;
  /** A proof found nothing wrong. */
  proven(caller: Caller, claim: RefreshClaim): Promise<void>;
  /** Whether Google refuses this OAuth client, as far as it is known here. */
  isRejected(oauthClient: string): boolean;
  /** Reads which incidents are open, where that was not done lately. Never fails. */
  look(): Promise<void>;
  /** Throws OAUTH_CLIENT_REJECTED or OAUTH_CLIENT_FROZEN where an incident is open. */
  check(): Promise<void>;
}

export interface IncidentDeps {
  readonly store: Pick<Store, 'clientIncidents'>;
  readonly clock: Clock;
  readonly rules: FreezeRules;
  /** Told which are open, each time that they are read. */
  readonly onOpen: (incidents: readonly ClientIncident[]) => void;
}

/** What a reader is told while an incident of a kind is open. */
export const toldOf: Readonly<Record<IncidentKind, ErrorCode>> = {
  client_rejected: 'OAUTH_CLIENT_REJECTED',
  mass_invalid_grant: 'OAUTH_CLIENT_FROZEN',
};

export function createOAuthClientIncidents(deps: IncidentDeps): OAuthClientIncidents {
  const { store, clock, rules, onOpen } = deps;
  const incidents = store.clientIncidents;
  let open: readonly ClientIncident[] = [];
  let lookedAt = Number.NEGATIVE_INFINITY;
  let looking: Promise<void> | undefined;

  async function read(): Promise<void> {
    open = await incidents.open();
    lookedAt = clock.now().getTime();
    onOpen(open);
  }

  function look(): Promise<void> {
    if (Math.abs(clock.now().getTime() - lookedAt) < lookEveryMs) return Promise.resolve();
    looking ??= read()
      .catch(() => undefined)
      .finally(() => {
        looking = undefined;
      });
    return looking;
  }

  /** After a change of our own: others hear of it at their next look. */
  async function readAnew(): Promise<void> {
    await read().catch(() => undefined);
  }

  function isOpen(client: string, kind: IncidentKind): boolean {
    return open.some((incident) => incident.oauthClient === client && incident.kind === kind);
  }

  function suspicion({ channel, grant }: RefreshClaim, failure: Pick<TokenEndpointFailure, 'error'>) {
    const { id, oauthClient } = channel;
    return { oauthClient, channel: id, generation: grant.generation, error: failure.error ?? '', at: clock.now() };
  }

  function recordOfIncident(caller: Caller, kind: IncidentKind, { channel }: RefreshClaim, error: string | undefined) {
    const facts = { oauthClient: channel.oauthClient, kind, error: error ?? '', foundBy: channel.id };
    return () => auditRecord(clock.now(), caller, 'oauth-client.incident', toldOf[kind], {}, facts);
  }

  async function isFrozen(client: string): Promise<boolean> {
    await look();
    return isOpen(client, 'mass_invalid_grant');
  }

  async function noteSuccess(caller: Caller, { channel, grant }: RefreshClaim): Promise<void> {
    const at = clock.now();
    const over = await incidents.succeeded(
      { oauthClient: channel.oauthClient, channel: channel.id, generation: grant.generation, at },
      (kind) => {
        const facts = { oauthClient: channel.oauthClient, kind, ending: 'recovered', foundBy: channel.id };
        return auditRecord(at, caller, 'oauth-client.incident-end', 'ok', {}, facts);
      },
      (restored, tenant) => recordOfRestored(at, caller, restored, tenant),
    );
    if (over.length > 0) await readAnew();
  }

  return {
    async withholds(caller, claim, failure) {
      const counts = failure.error === 'invalid_grant' || isProofFinding(failure.error);
      if (!counts) return isFrozen(claim.channel.oauthClient);
      const kind = 'mass_invalid_grant';
      const record = recordOfIncident(caller, kind, claim, failure.error);
      const verdict = await incidents.suspect(suspicion(claim, failure), rules, record);
      if (verdict === 'opened') await readAnew();
      return verdict !== 'believed';
    },

    async rejected(caller, claim, failure) {
      const record = recordOfIncident(caller, 'client_rejected', claim, failure.error);
      const found = await incidents.rejected(suspicion(claim, failure), record);
      if (found === 'opened' || (found === 'open' && !isOpen(claim.channel.oauthClient, 'client_rejected')))
        await readAnew();
    },

    async succeeded(caller, claim) {
      const { channel, grant } = claim;
      await look();
      const wasSuspect = ['grant_dead', 'session_control'].includes(grant.lastFailure ?? '');
      const concerns = open.some(
        ({ oauthClient, kind }) => oauthClient === channel.oauthClient && (kind === 'client_rejected' || wasSuspect),
      );
      if (concerns || wasSuspect) await noteSuccess(caller, claim);
    },

    async proven(caller, claim) {
      if (await isFrozen(claim.channel.oauthClient)) await noteSuccess(caller, claim);
    },

    isRejected: (client) => isOpen(client, 'client_rejected'),
    look,

    async check() {
      await look();
      const [first] = open;
      if (first) throw new BrokerError(toldOf[first.kind], { detail: `incident of ${first.oauthClient}` });
    },
  };
}

/** That a channel was put back. */
export function recordOfRestored(at: Date, caller: Caller, channel: string, tenant: string) {
  const facts = { state: 'active', reason: 'restored_after_incident' };
  return auditRecord(at, caller, 'channel.state', 'ok', { tenant, channel }, facts);
}
