/** Publishing statuses of an OAuth client at Google, as far as they change how long its grants live. */
export const publishingStatuses = ['testing', 'production'] as const;

/**
 * Of a client that is in testing (with users outside its organisation) refresh tokens end after seven days. Google tells
 * the status to people only, in its console.
 */
export type Publishing = (typeof publishingStatuses)[number];
