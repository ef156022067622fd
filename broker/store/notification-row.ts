import type { Selectable } from 'kysely';
import type { StoredNotification } from '../ports.ts';
import type { NotificationsTable } from './schema.ts';

/** Reads a row as a notification. */
export function toNotification(row: Selectable<NotificationsTable>): StoredNotification {
  return {
    id: row.id,
    type: row.type,
    at: row.at,
    tenant: row.tenant ?? undefined,
    channel: row.channel ?? undefined,
    generation: row.generation ?? undefined,
    oauthClient: row.oauth_client ?? undefined,
    facts: row.facts,
    state: row.state,
    attempts: row.attempts,
    dueAt: row.due_at,
    firstAttemptAt: row.first_attempt_at ?? undefined,
    lastAttemptAt: row.last_attempt_at ?? undefined,
    lastProblem: row.last_problem ?? undefined,
    endedAt: row.ended_at ?? undefined,
  };
}
