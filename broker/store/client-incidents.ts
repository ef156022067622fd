/** Incidents of OAuth clients, and what is suspected before. Every act holds the client's lock: all replicas count as one. */
import { sql, type Transaction } from 'kysely';
import type { AuditRecord } from '../domain/audit-record.ts';
import {
  believedForMs,
  enoughRecovered,
  type FreezeRules,
  type IncidentKind,
  isProofFinding,
  mostSuccesses,
  nearFreeze,
  proofFindings,
} from '../domain/client-incident.ts';
import { BrokerError } from '../errors.ts';
import type { ClientIncidents, IncidentEnd, Suspicion, Thawed } from '../ports.ts';
import { writeAuditRecords } from './audit-writer.ts';
import { createIncidentReader } from './client-incident-reader.ts';
import type { Database } from './database.ts';
import { notify, notifyStepOf } from './notify.ts';
import type { Schema } from './schema.ts';

type Trx = Transaction<Schema>;

/** A suspicion that nothing came of is forgotten so long after it was last heard of: longer than the longest back-off. */
const forgetAfterMs = 3_600_000;
/** One refusal can be a slip of Google's. */
const rejectionsToOpen = 2;
/** Those that were held up come due again within so many milliseconds. */
const comeAgainMs = 30_000;
/** Of very many only so many, lest an incident could never be ended in time: the others come by their own back-off. */
const defaultMostAtOnce = 10_000;

export function createClientIncidents(
  database: Database,
  { mostAtOnce = defaultMostAtOnce }: { readonly mostAtOnce?: number } = {},
): ClientIncidents {
  /** Holds the client's lock to the end of the transaction; an act of one client never waits for another's. */
  const locked = <T>(oauthClient: string, work: (trx: Trx) => Promise<T>): Promise<T> =>
    database.transaction(async (trx) => {
      await sql`select pg_advisory_xact_lock(hashtext('oauth-client-incidents'), hashtext(${oauthClient}))`.execute(
        trx,
      );
      return work(trx);
    });

  return {
    ...createIncidentReader(database),

    suspect: (suspicion, rules, recordOfIncident) =>
      locked(suspicion.oauthClient, async (trx) => {
        const { oauthClient, at } = suspicion;
        await forget(trx, oauthClient, new Date(at.getTime() - rules.windowMs - forgetAfterMs));
        const { incident } = await note(trx, 'mass_invalid_grant', suspicion);
        if (incident !== undefined) return 'withheld';
        const verdict = (await isBelievedNow(trx, oauthClient, at)) ? 'believed' : await weigh(trx, suspicion, rules);
        if (verdict === 'believed') await markBelieved(trx, suspicion);
        if (verdict === 'opened') await open(trx, 'mass_invalid_grant', suspicion, recordOfIncident());
        return verdict;
      }),

    rejected: (suspicion, recordOfIncident) =>
      locked(suspicion.oauthClient, async (trx) => {
        await forgetRejections(trx, suspicion.oauthClient);
        const { incident } = await note(trx, 'client_rejected', suspicion);
        if (incident !== undefined) return 'open';
        if ((await rejections(trx, suspicion.oauthClient)) < rejectionsToOpen) return 'noted';
        await open(trx, 'client_rejected', suspicion, recordOfIncident());
        return 'opened';
      }),

    succeeded: (success, recordOfEnd, recordOfRestored) =>
      locked(success.oauthClient, async (trx) => {
        const { oauthClient, at } = success;
        await markRecovered(trx, success);
        const over: IncidentKind[] = [];
        const records: AuditRecord[] = [];
        for (const kind of ['client_rejected', 'mass_invalid_grant'] as const) {
          if (!(await isOver(trx, oauthClient, kind))) continue;
          const end = { oauthClient, kind, ending: 'recovered', at, by: 'scheduler' } as const;
          const { restored } = await closeIncident(trx, end, mostAtOnce);
          over.push(kind);
          records.push(recordOfEnd(kind), ...restored.map(({ channel, tenant }) => recordOfRestored(channel, tenant)));
        }
        await writeAuditRecords(trx, records);
        return over;
      }),

    end: (end, recordOfEnd, recordOfRestored) =>
      locked(end.oauthClient, async (trx) => {
        if ((await openIncident(trx, end.oauthClient, end.kind)) === undefined) {
          throw new BrokerError('INCIDENT_NOT_FOUND', { detail: `${end.kind} of ${end.oauthClient}` });
        }
        const thawed = await closeIncident(trx, end, mostAtOnce);
        const restored = thawed.restored.map(({ channel, tenant }) => recordOfRestored(channel, tenant));
        await writeAuditRecords(trx, [recordOfEnd(thawed), ...restored]);
        return thawed;
      }),
  };
}

/** Notes what Google answered; answers the open incident that it belongs to. */
async function note(trx: Trx, kind: IncidentKind, { oauthClient, channel, generation, error, at }: Suspicion) {
  const incident = await openIncident(trx, oauthClient, kind);
  await trx
    .insertInto('oauth_client_suspicions')
    .values({
      ...{ channel, generation, kind, error, incident: incident ?? null },
      ...{ oauth_client: oauthClient, first_at: at, last_at: at, times: 1, believed: false },
    })
    .onConflict((conflict) =>
      conflict.columns(['channel', 'generation', 'kind']).doUpdateSet((row) => ({
        last_at: at,
        // A channel that was well in between is suspected anew.
        first_at: sql<Date>`case when oauth_client_suspicions.recovered then ${at} else oauth_client_suspicions.first_at end`,
        times: row('oauth_client_suspicions.times', '+', 1),
        recovered: false,
        incident: incident ?? null,
      })),
    )
    .execute();
  return { incident };
}

/** Judges one suspicion by those of before: the newest of them, as many as make an incident, and the successes since. */
async function weigh(trx: Trx, { oauthClient, at, error }: Suspicion, rules: FreezeRules) {
  const isFinding = isProofFinding(error);
  const newest = await trx
    .selectFrom('oauth_client_suspicions')
    .select('first_at')
    .where('oauth_client', '=', oauthClient)
    .where('kind', '=', 'mass_invalid_grant')
    .where('error', isFinding ? 'in' : 'not in', proofFindings)
    .where('recovered', '=', false)
    .where('first_at', '>', new Date(at.getTime() - rules.windowMs))
    .orderBy('first_at', 'desc')
    .limit(rules.minimum)
    .execute();
  const since = newest.at(-1)?.first_at;
  if (since === undefined || newest.length < nearFreeze(rules)) return 'believed';
  // Proofs come one by one over the day, each after a refresh that succeeded: there is no share to tell.
  if (isFinding) return newest.length < rules.minimum ? 'withheld' : 'opened';
  const most = mostSuccesses(newest.length, rules);
  // No more than decide are counted, however many channels there are.
  const successes = await trx
    .selectFrom('channels')
    .select('id')
    .where('oauth_client', '=', oauthClient)
    .where('last_refresh', '>=', since)
    .limit(most + 1)
    .execute();
  if (successes.length > most) return 'believed';
  return newest.length < rules.minimum ? 'withheld' : 'opened';
}

/** Deletes what was before the client's last success: it was let in then. */
async function forgetRejections(trx: Trx, oauthClient: string): Promise<void> {
  await trx
    .deleteFrom('oauth_client_suspicions')
    .where('oauth_client', '=', oauthClient)
    .where('kind', '=', 'client_rejected')
    .where('incident', 'is', null)
    .where('last_at', '<=', (query) =>
      query
        .selectFrom('channels')
        .select((row) => row.fn.max('last_refresh').as('newest'))
        .where('oauth_client', '=', oauthClient),
    )
    .execute();
}

/** How often Google refused the client since it last let it in. */
async function rejections(trx: Trx, oauthClient: string): Promise<number> {
  const row = await trx
    .selectFrom('oauth_client_suspicions')
    .select(({ fn }) => fn.sum<string | null>('times').as('times'))
    .where('oauth_client', '=', oauthClient)
    .where('kind', '=', 'client_rejected')
    .executeTakeFirst();
  return Number(row?.times ?? 0);
}

async function open(trx: Trx, kind: IncidentKind, { oauthClient, error, at }: Suspicion, record: AuditRecord) {
  const { id } = await trx
    .insertInto('oauth_client_incidents')
    .values({ oauth_client: oauthClient, kind, opened_at: at, error })
    .returning('id')
    .executeTakeFirstOrThrow();
  await ofClient(trx, oauthClient, kind).set({ incident: id }).execute();
  const facts = { reason: kind, error };
  await notify(trx, { type: 'oauth_client.incident', oauthClient, occasion: `${kind} ${at.toISOString()}`, at, facts });
  await writeAuditRecords(trx, [record]);
}

/** Whether so much works again that an incident of this kind is over. */
async function isOver(trx: Trx, oauthClient: string, kind: IncidentKind): Promise<boolean> {
  const incident = await openIncident(trx, oauthClient, kind);
  if (incident === undefined) return false;
  if (kind === 'client_rejected') return true;
  const { rows } = await sql<{ suspects: number; recovered: number }>`
    select count(*) filter (where not believed)::int as suspects, count(*) filter (where recovered)::int as recovered
    from oauth_client_suspicions where incident = ${incident}`.execute(trx);
  const { suspects = 0, recovered = 0 } = rows[0] ?? {};
  return recovered >= Math.max(1, Math.min(enoughRecovered, suspects));
}

/** Ends an incident: what was suspected is forgotten, what was changed is put back, what was held up comes due again. */
async function closeIncident(
  trx: Trx,
  { oauthClient, kind, ending, at, by }: IncidentEnd,
  mostAtOnce: number,
): Promise<Thawed> {
  const believedUntil = ending === 'believed' ? new Date(at.getTime() + believedForMs) : null;
  const incident = await openIncident(trx, oauthClient, kind);
  await trx
    .updateTable('oauth_client_incidents')
    .set({ ended_at: at, ended_by: by, ending, believed_until: believedUntil })
    .where('oauth_client', '=', oauthClient)
    .where('kind', '=', kind)
    .where('ended_at', 'is', null)
    .execute();
  const restored = ending === 'believed' || kind === 'client_rejected' ? [] : await restore(trx, incident, at);
  // Whoever has locked one is writing what became of its refresh: nobody need wait for that.
  await sql`
    with held as materialized (
      select id from channels
      where oauth_client = ${oauthClient} and state = 'active' and last_failure is not null
        and refresh_due_at > ${at}::timestamptz + ${comeAgainMs} * interval '1 ms'
      limit ${mostAtOnce} for update skip locked
    )
    update channels
    set refresh_due_at = ${at}::timestamptz + mod(abs(hashtext(channels.id)), ${comeAgainMs}) * interval '1 ms'
    from held where channels.id = held.id`.execute(trx);
  await trx
    .deleteFrom('oauth_client_suspicions')
    .where('oauth_client', '=', oauthClient)
    .where('kind', '=', kind)
    .execute();
  const facts = { reason: kind, ending };
  await notify(trx, {
    type: 'oauth_client.recovered',
    oauthClient,
    occasion: `${kind} ${at.toISOString()}`,
    at,
    facts,
  });
  return { restored };
}

/** Puts back, with the grant that they have, the channels that were changed before the incident was known. */
async function restore(trx: Trx, incident: string | undefined, at: Date): Promise<Thawed['restored']> {
  const rows = await trx
    .updateTable('channels')
    .from('oauth_client_suspicions as suspicion')
    .set({ state: 'active', reason: 'restored_after_incident', refresh_due_at: at, proof_due_at: at, updated_at: at })
    .whereRef('suspicion.channel', '=', 'channels.id')
    .whereRef('suspicion.generation', '=', 'channels.generation')
    .where('suspicion.incident', '=', incident ?? null)
    .where('suspicion.believed', '=', true)
    .where('channels.state', '=', 'needs_reconsent')
    .where('channels.refresh_token_encrypted', 'is not', null)
    .returning(['channels.id as channel', 'channels.tenant'])
    .execute();
  for (const { channel } of rows) {
    const step = { from: 'needs_reconsent', to: 'active', reason: 'restored_after_incident', at } as const;
    await notifyStepOf(trx, { channel, ...step });
  }
  return rows;
}

async function openIncident(trx: Trx, oauthClient: string, kind: IncidentKind): Promise<string | undefined> {
  const row = await trx
    .selectFrom('oauth_client_incidents')
    .select('id')
    .where('oauth_client', '=', oauthClient)
    .where('kind', '=', kind)
    .where('ended_at', 'is', null)
    .executeTakeFirst();
  return row?.id;
}

async function isBelievedNow(trx: Trx, oauthClient: string, at: Date): Promise<boolean> {
  const row = await trx
    .selectFrom('oauth_client_incidents')
    .select('id')
    .where('oauth_client', '=', oauthClient)
    .where('believed_until', '>', at)
    .limit(1)
    .executeTakeFirst();
  return row !== undefined;
}

async function markBelieved(trx: Trx, { channel, generation }: Suspicion): Promise<void> {
  await trx
    .updateTable('oauth_client_suspicions')
    .set({ believed: true })
    .where('channel', '=', channel)
    .where('generation', '=', generation)
    .where('kind', '=', 'mass_invalid_grant')
    .execute();
}

async function markRecovered(trx: Trx, { channel, generation }: Omit<Suspicion, 'error'>): Promise<void> {
  await trx
    .updateTable('oauth_client_suspicions')
    .set({ recovered: true })
    .where('channel', '=', channel)
    .where('generation', '=', generation)
    .execute();
}

/** Deletes what nothing came of. */
async function forget(trx: Trx, oauthClient: string, before: Date): Promise<void> {
  await trx
    .deleteFrom('oauth_client_suspicions')
    .where('oauth_client', '=', oauthClient)
    .where('incident', 'is', null)
    .where('last_at', '<', before)
    .execute();
}

function ofClient(trx: Trx, oauthClient: string, kind: IncidentKind) {
  return trx.updateTable('oauth_client_suspicions').where('oauth_client', '=', oauthClient).where('kind', '=', kind);
}
