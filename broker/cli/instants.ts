/**
 * Instants as people write and read them. Never without a time zone: what is written has an offset or `Z`, or is so long
 * ago; what is shown is in UTC, or in the zone that was asked for, with its offset.
 */
import * as z from 'zod';
import { CliError, exitCodes } from './cli-error.ts';

const zoned = z.iso.datetime({ offset: true });
const unitMs = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 } as const;

/** Reads `2026-03-01T12:00:00Z`, `2026-03-01T13:00:00+01:00`, or `90s`, `30m`, `2h`, `7d`, `2w` ago; answers ISO 8601 in UTC. */
export function readInstant(option: string, text: string, now: Date): string {
  return read(option, text, (ms) => now.getTime() - ms, 'how long ago: 30m, 2h, 7d');
}

/** The same of what is to come: `90d` from now. */
export function readEnd(option: string, text: string, now: Date): string {
  return read(option, text, (ms) => now.getTime() + ms, 'how long from now: 12h, 90d');
}

function read(option: string, text: string, reckon: (ms: number) => number, orElse: string): string {
  const [, count, unit] = /^(\d{1,6})([smhdw])$/.exec(text) ?? [];
  if (count !== undefined) return new Date(reckon(Number(count) * unitMs[unit as keyof typeof unitMs])).toISOString();
  // Seconds may be left out.
  const instant = text.replace(/(T\d\d:\d\d)(?=Z|[+-]\d)/, '$1:00');
  if (zoned.safeParse(instant).success) return new Date(instant).toISOString();
  throw new CliError(`${option}: "${text}" is not an instant with a time zone.`, {
    exitCode: exitCodes.usage,
    hints: [`Write 2026-03-01T12:00:00Z, 2026-03-01T13:00:00+01:00, or ${orElse}.`],
  });
}

/** Shows instants in a zone of the IANA database. */
export type ShowInstant = (iso: string) => string;

/** @param zone such as `Europe/Berlin`; throws a CliError where nobody knows it. */
export function instantsIn(zone: string): ShowInstant {
  if (zone === 'UTC') return (iso) => `${iso.slice(0, 10)} ${iso.slice(11, 19)}Z`;
  const format = formatOf(zone);
  return (iso) => {
    const parts = Object.fromEntries(format.formatToParts(new Date(iso)).map(({ type, value }) => [type, value]));
    const offset = (parts.timeZoneName ?? '').replace('GMT', '') || '+00:00';
    return `${parts.year}-${parts.month}-${parts.day} ${parts.hour}:${parts.minute}:${parts.second}${offset}`;
  };
}

function formatOf(timeZone: string): Intl.DateTimeFormat {
  const two = '2-digit';
  const digits = { year: 'numeric', month: two, day: two, hour: two, minute: two, second: two } as const;
  try {
    return new Intl.DateTimeFormat('en-GB', { ...digits, hourCycle: 'h23', timeZoneName: 'longOffset', timeZone });
  } catch (cause) {
    throw new CliError(`--time-zone: there is no time zone ${timeZone}.`, {
      exitCode: exitCodes.usage,
      hints: ['Write UTC, or a name such as Europe/Berlin or America/New_York.'],
      cause,
    });
  }
}
