/** The part of the admin API that shows the audit record. */
import type * as z from 'zod';
import { installationChain } from '../../domain/audit-chain.ts';
import { type ExportLine, exportLine } from '../../domain/audit-export.ts';
import type { AuditFilter } from '../../ports.ts';
import { invalidRequest } from '../thrown.ts';
import { type Route, route, streamed } from './route.ts';
import * as wire from './schemas.ts';
import { viewAuditPage } from './views.ts';

const usualLimit = 100;
const highestLimit = 1_000;
/** Less than any gateway's patience. */
const longestWaitSeconds = 25;

export const auditRoutes: readonly Route[] = [
  route(
    {
      method: 'get',
      path: '/v1/audit/records',
      operationId: 'listAuditRecords',
      summary:
        'Shows the audit record of a tenant or of the installation, page by page; waits for news where asked to.',
      status: 200,
    },
    { query: wire.auditFilter, answer: wire.auditPage },
    async ({ caller, query, signal }, { flows }) => {
      const { tenant: chain = installationChain, before, after, wait } = query;
      const limit = Math.max(1, Math.min(Number(query.limit ?? usualLimit), highestLimit));
      const look = { chain, limit, filter: filterOf(query) };
      if (after !== undefined) {
        if (before !== undefined) throw invalidRequest('before: cannot go with after');
        const waitMs = Math.min(Number(wait ?? 0), longestWaitSeconds) * 1_000;
        return viewAuditPage(await flows.audit.follow(caller, { ...look, after: Number(after), waitMs, signal }));
      }
      if (wait !== undefined) throw invalidRequest('wait: goes with after only');
      const from = before === undefined ? undefined : Number(before);
      return viewAuditPage(await flows.audit.list(caller, { ...look, before: from }));
    },
  ),
  route(
    {
      method: 'post',
      path: '/v1/audit/restores',
      operationId: 'acceptAuditRestore',
      summary: 'Accepts that an audit chain was restored from a backup, so that Vault signs it again. For operators.',
      status: 200,
    },
    { body: wire.auditRestore, answer: wire.auditHead },
    async ({ caller, body }, { flows }) => {
      const { tenant: chain = installationChain, reason } = body;
      const { seq, hash } = await flows.acceptRestore(caller, { chain, reason });
      return { chain: chain === installationChain ? null : chain, seq, hash: hash.toString('hex') };
    },
  ),
  streamed(
    {
      method: 'get',
      path: '/v1/audit/export',
      operationId: 'exportAudit',
      summary: 'Exports an audit chain with all that its verification needs, as JSON Lines.',
      status: 200,
    },
    { query: wire.exportQuery, answer: wire.exportLine },
    async ({ caller, query: { tenant: chain = installationChain, from } }, { flows }) => {
      const lines = await flows.audit.exported(caller, { chain, from: from === undefined ? undefined : Number(from) });
      return texts(lines);
    },
  ),
];

async function* texts(lines: AsyncIterable<ExportLine>): AsyncGenerator<string> {
  for await (const line of lines) yield exportLine(line);
}

function filterOf(query: z.output<typeof wire.auditFilter>): AuditFilter {
  const { channel, action, result, caller, request_id: requestId, since, until } = query;
  const given = Object.entries({ channel, action, result, caller, requestId, since, until });
  return Object.fromEntries(given.filter(([, value]) => value !== undefined));
}
