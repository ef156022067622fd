/**
 * Looks at an audit chain, and follows it. Every look is on record itself, in the chain that was looked at; who goes on
 * page by page, or follows for hours, is recorded once in a while: otherwise following would feed itself.
 */
import type { AuditAction } from '../domain/audit-actions.ts';
import { installationChain } from '../domain/audit-chain.ts';
import type { ExportLine } from '../domain/audit-export.ts';
import type { AuditRecord } from '../domain/audit-record.ts';
import type { Person } from '../domain/caller.ts';
import type { AuditFilter, AuditPage, Clock, Store } from '../ports.ts';
import type { Authorize } from './authorize.ts';
import type { createExportAudit } from './export-audit.ts';

type ExportAudit = ReturnType<typeof createExportAudit>;

/** Whose look is not recorded again for so long. */
const lookMs = 10 * 60_000;
const looksRemembered = 10_000;
/** How often a chain is asked for news while somebody waits for them. */
const pollMs = 500;

export interface AuditLook {
  /** A tenant's name, or `''` for the installation's chain. */
  readonly chain: string;
  readonly filter: AuditFilter;
  readonly limit: number;
}

export function createReadAudit(deps: {
  authorize: Authorize;
  store: Store;
  clock: Clock;
  sleep: (ms: number, signal: AbortSignal) => Promise<void>;
  exportAudit: ExportAudit;
}) {
  const { authorize, store, clock, sleep, exportAudit } = deps;
  const looks = new Map<string, number>();
  const stopping = new AbortController();

  /** @param goesOn whether this continues an earlier look. */
  async function look(
    caller: Person,
    action: AuditAction,
    { chain, filter }: Pick<AuditLook, 'chain' | 'filter'>,
    goesOn: boolean,
  ): Promise<void> {
    await authorize.auditChain(caller, action, chain);
    // Whoever looks for something else looks anew.
    const key = JSON.stringify([caller.subject, action, chain, factsOf(filter)]);
    const now = clock.now().getTime();
    if (goesOn && now - (looks.get(key) ?? Number.NEGATIVE_INFINITY) < lookMs) return;
    await authorize.looked(caller, action, chain === installationChain ? {} : { tenant: chain }, factsOf(filter));
    looks.delete(key);
    looks.set(key, now);
    const [oldest] = looks.keys();
    if (looks.size > looksRemembered && oldest !== undefined) looks.delete(oldest);
  }

  return {
    /** Newest first, from before a seq. Throws TENANT_NOT_FOUND or ACCESS_DENIED. */
    async list(caller: Person, input: AuditLook & { readonly before: number | undefined }): Promise<AuditPage> {
      const { chain, filter, limit, before } = input;
      await look(caller, 'audit.list', input, before !== undefined);
      return store.auditReader.page({ chain, filter, limit, from: before === undefined ? {} : { before } });
    },

    /**
     * Oldest first, from after a seq. Where nothing is there yet, waits for it up to `waitMs`, and answers an empty page
     * then, and where the broker stops. Throws TENANT_NOT_FOUND or ACCESS_DENIED.
     */
    async follow(
      caller: Person,
      input: AuditLook & { readonly after: number; readonly waitMs: number; readonly signal: AbortSignal },
    ): Promise<AuditPage> {
      const { chain, filter, limit, after, waitMs } = input;
      await look(caller, 'audit.follow', input, true);
      const signal = AbortSignal.any([input.signal, stopping.signal]);
      let from = after;
      for (let waited = 0; ; waited += pollMs) {
        const page = await store.auditReader.page({ chain, filter, limit, from: { after: from } });
        from = page.next ?? from;
        const more = from < page.head;
        if (page.entries.length > 0 || waited >= waitMs || signal.aborted) return page;
        if (!more) await sleep(pollMs, signal);
      }
    },

    /**
     * The whole chain, or from a record on, with all that its verification needs. Throws TENANT_NOT_FOUND or
     * ACCESS_DENIED before the first line.
     */
    async exported(
      caller: Person,
      { chain, from }: { readonly chain: string; readonly from: number | undefined },
    ): Promise<AsyncIterable<ExportLine>> {
      await authorize.auditChain(caller, 'audit.export', chain);
      const target = chain === installationChain ? {} : { tenant: chain };
      await authorize.looked(caller, 'audit.export', target, from === undefined ? {} : { from });
      return exportAudit(chain, from);
    },

    /** Lets go of whoever waits. */
    stop: () => stopping.abort(),
  };
}

/** The filter, as a record tells of it. */
function factsOf(filter: AuditFilter): AuditRecord['facts'] {
  const shown = Object.entries(filter).map(([name, value]: [string, string | Date | undefined]) => [
    name,
    value instanceof Date ? value.toISOString() : value,
  ]);
  return Object.fromEntries(shown.filter(([, value]) => value !== undefined));
}
