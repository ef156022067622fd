/** Reads the audit record through the API: page by page, or on and on. */
import type { AuditEntry } from '../domain/audit-entry.ts';
import type { AuditRecord } from '../domain/audit-record.ts';
import type { AuditEntryAnswer, AuditPageAnswer } from '../http/api/schemas.ts';
import type { ApiClient } from './api-client.ts';
import { CliError, exitCodes } from './cli-error.ts';

/** The API's query, by its names. */
export type AuditQuery = Readonly<Record<string, string>>;

const pageSize = 500;
const waitSeconds = 20;
const firstRetryMs = 500;
const longestRetryMs = 15_000;

export function auditPage(api: ApiClient, query: AuditQuery, signal?: AbortSignal): Promise<AuditPageAnswer> {
  return api.get<AuditPageAnswer>(`/v1/audit/records?${new URLSearchParams(query)}`, signal);
}

/** The newest records, newest first, at most `limit`. Answers how the chain goes on before them, too. */
export async function newestRecords(
  api: ApiClient,
  query: AuditQuery,
  limit: number,
): Promise<{ readonly records: readonly AuditEntryAnswer[]; readonly next: number | null; readonly head: number }> {
  const records: AuditEntryAnswer[] = [];
  let head: number | undefined;
  for (let before: string | undefined = query.before; ; ) {
    const wanted = String(Math.min(limit - records.length, pageSize));
    const page = await auditPage(api, { ...query, limit: wanted, ...(before !== undefined && { before }) });
    head ??= page.head;
    records.push(...page.records);
    if (records.length >= limit || page.next === null) return { records, next: page.next, head };
    before = String(page.next);
  }
}

/**
 * Records from after a seq on, oldest first. Ends at the newest where it does not follow; else it waits for more until the
 * signal fires, over every outage of the broker: the cursor is kept here, so no record is lost or told twice.
 */
export async function* recordsAfter(
  api: ApiClient,
  query: AuditQuery,
  after: number,
  following: { readonly signal: AbortSignal; readonly onOutage: (error: CliError) => void } | undefined,
  sleep: (ms: number, signal: AbortSignal) => Promise<void>,
): AsyncGenerator<AuditEntryAnswer> {
  let cursor = after;
  let failures = 0;
  const wait = following ? { wait: String(waitSeconds) } : {};
  while (!following?.signal.aborted) {
    let page: AuditPageAnswer;
    try {
      const asked = { ...query, ...wait, after: String(cursor), limit: String(pageSize) };
      page = await auditPage(api, asked, following?.signal);
      failures = 0;
    } catch (error) {
      if (following?.signal.aborted) return;
      if (!following || !(error instanceof CliError) || error.exitCode !== exitCodes.unavailable) throw error;
      if (failures === 0) following.onOutage(error);
      await sleep(Math.min(longestRetryMs, firstRetryMs * 2 ** failures), following.signal);
      failures += 1;
      continue;
    }
    yield* page.records;
    cursor = page.next ?? cursor;
    if (!following && cursor >= page.head) return;
  }
}

/** From the wire into the domain's words. */
export function entryOf(answer: AuditEntryAnswer): AuditEntry {
  const { chain, seq, hash } = answer;
  return {
    chain: chain ?? '',
    seq,
    hash,
    record: {
      at: new Date(answer.at),
      action: answer.action as AuditRecord['action'],
      result: answer.result as AuditRecord['result'],
      callerKind: answer.caller_kind as AuditRecord['callerKind'],
      caller: answer.caller,
      ip: answer.ip ?? undefined,
      requestId: answer.request_id,
      tenant: answer.tenant ?? undefined,
      channel: answer.channel ?? undefined,
      facts: answer.facts,
    },
  };
}
