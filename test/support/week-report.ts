/** What became of a simulated week, read from the broker's own audit record, and the table of it. */
import type { AuditRecord } from '../../broker/domain/audit-record.ts';
import { superuserUrl } from './postgres.ts';
import type { Scope } from './scope.ts';
import type { Week } from './simulated-week.ts';
import { useConnection } from './store.ts';
import { monday, type WeekChannel, type WeekOutage } from './week-plan.ts';

const minute = 60_000;
const day = 24 * 60 * minute;
/** What an outage leaves behind is over by then: the longest back-off. */
export const aftermathMs = 15 * minute;

export interface WeekRefresh {
  readonly at: number;
  readonly channel: string;
  /** `ok`, or the class of the failure. */
  readonly result: string;
  /** When the new token ends. */
  readonly expiresAt: number | undefined;
}

export interface WeekChange {
  readonly at: number;
  readonly channel: string;
  readonly state: string;
}

/** A token of a channel in use that ended before there was a new one. */
export interface WeekGap {
  readonly channel: WeekChannel;
  readonly from: number;
  readonly to: number;
}

export interface WeekReport {
  readonly refreshes: readonly WeekRefresh[];
  readonly changes: readonly WeekChange[];
  readonly gaps: readonly WeekGap[];
  /** The notifications that arrived, by their ids. */
  readonly told: readonly { readonly at: number; readonly type: string; readonly subject: string }[];
}

export async function reportOf(scope: Scope, week: Week): Promise<WeekReport> {
  const records = await useConnection(scope, superuserUrl(week.world.databaseUrl)).run((db) =>
    db
      .selectFrom('audit_log')
      .select(['at', 'action', 'result', 'channel', 'facts'])
      .orderBy('at')
      .orderBy('id')
      .execute(),
  );
  const refreshes = records.flatMap(refreshOf);
  const changes = records
    .filter(({ action }) => action === 'channel.state')
    .map(({ at, channel, facts }) => ({ at: at.getTime(), channel: channel ?? '', state: String(facts.state) }));
  const told = new Map(
    week.webhook.received.map(({ id, event }) => [
      id,
      { at: Date.parse(event.time), type: event.type.replace('token-broker.', ''), subject: event.subject },
    ]),
  );
  return { refreshes, changes, gaps: gapsOf(week, refreshes, changes), told: [...told.values()] };
}

type Row = Pick<AuditRecord, 'at' | 'action' | 'result' | 'facts'> & { readonly channel: string | null };

function refreshOf({ at, action, result, channel, facts }: Row): readonly WeekRefresh[] {
  const found = { at: at.getTime(), channel: channel ?? '' };
  // The end of a grant is the record of the refresh that found it.
  if (action === 'channel.state' && facts.class)
    return [{ ...found, result: String(facts.class), expiresAt: undefined }];
  if (action !== 'token.refresh') return [];
  const expiresAt = result === 'ok' ? Date.parse(String(facts.expiresAt)) : undefined;
  return [{ ...found, result: result === 'ok' ? 'ok' : String(facts.class ?? result), expiresAt }];
}

/** Until there is a new token, or it is known that there is none to be had. */
function gapsOf(
  { fleet }: Week,
  refreshes: readonly WeekRefresh[],
  changes: readonly WeekChange[],
): readonly WeekGap[] {
  return fleet.flatMap((channel) => {
    if (!channel.inUse) return [];
    const own = refreshes.filter((refresh) => refresh.channel === channel.id && refresh.result === 'ok');
    const end = changes.find((change) => change.channel === channel.id)?.at;
    return own.flatMap(({ expiresAt = 0 }, index) => {
      const to = own[index + 1]?.at ?? end;
      return to !== undefined && to > expiresAt ? [{ channel, from: expiresAt, to }] : [];
    });
  });
}

/** The outage that a token could not outlive: it began before the token's end and ended after it. */
export function outageOf({ outages }: Week, { channel, from }: WeekGap): WeekOutage | undefined {
  return outages.find((outage) => outage.from < from && from < outage.to && concerns(outage, channel));
}

export function concerns({ oauthClient }: WeekOutage, channel: WeekChannel): boolean {
  return oauthClient === undefined || oauthClient === channel.oauthClient;
}

/** The table in Markdown: each outage with a quarter of an hour after it, then all the rest of the week. */
export function tableOf(week: Week, report: WeekReport): readonly string[] {
  const within = (outage: WeekOutage | undefined) => (at: number) =>
    outage
      ? outage.from <= at && at < outage.to + aftermathMs
      : !week.outages.some(({ from, to }) => from <= at && at < to + aftermathMs);
  const rows = [...week.outages, undefined].map((outage) => {
    const counts = within(outage);
    const refreshes = report.refreshes.filter(({ at, channel }) => {
      const owner = week.fleet.find(({ id }) => id === channel);
      return counts(at) && (!outage || (owner && concerns(outage, owner)));
    });
    const gaps = report.gaps.filter(({ from }) => counts(from));
    return [
      outage?.name ?? 'all the rest',
      outage ? instant(outage.from) : '',
      outage ? duration(outage.to - outage.from) : '',
      String(refreshes.length),
      String(refreshes.filter(({ result }) => result === 'ok').length),
      tally(refreshes.filter(({ result }) => result !== 'ok').map(({ result }) => `\`${result}\``)),
      gaps.length === 0
        ? 'none'
        : `${gaps.length}, for ${duration(Math.max(...gaps.map(({ from, to }) => to - from)))} at most`,
      tally(report.changes.filter(({ at }) => counts(at)).map(({ state }) => `\`${state}\``)),
      tally(report.told.filter(({ at }) => counts(at)).map(({ type }) => `\`${type}\``)),
    ];
  });
  const headings = ['what', 'from', 'for', 'refreshes', 'ok', 'failed', 'tokens ended', 'became', 'told'];
  return [headings, headings.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`);
}

function tally(names: readonly string[]): string {
  const counts = new Map<string, number>();
  for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1);
  return [...counts].map(([name, count]) => `${count} ${name}`).join(', ') || 'none';
}

function instant(at: number): string {
  const days = ['Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat', 'Sun'];
  return `${days[Math.floor((at - monday) / day)]} ${new Date(at).toISOString().slice(11, 16)}`;
}

function duration(ms: number): string {
  const minutes = Math.ceil(ms / minute);
  return minutes % 60 === 0
    ? `${minutes / 60} h`
    : minutes < 60
      ? `${minutes} min`
      : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}
