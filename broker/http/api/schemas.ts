/**
 * The wire of the admin API: snake_case, instants in ISO 8601 UTC. One schema gives the check, the type and the
 * OpenAPI component. What an answer's schema does not name never leaves: answers are cut to it.
 */
export * from './schemas/audit.ts';
export * from './schemas/channels.ts';
export * from './schemas/common.ts';
export * from './schemas/incidents.ts';
export * from './schemas/notifications.ts';
export * from './schemas/oauth-clients.ts';
export * from './schemas/replicas.ts';
export * from './schemas/revocations.ts';
export * from './schemas/shreds.ts';
export * from './schemas/tenant-keys.ts';
export * from './schemas/tenants.ts';
export * from './schemas/workloads.ts';
