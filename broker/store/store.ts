import type { Store } from '../ports.ts';
import { createAuditChains } from './audit-chains.ts';
import { createAuditLog } from './audit-log.ts';
import { createAuditReader } from './audit-reader.ts';
import { createChanges } from './changes.ts';
import { createChannelUse } from './channel-use.ts';
import { createChannels } from './channels.ts';
import { createCiphertexts } from './ciphertexts.ts';
import { createClientIncidents } from './client-incidents.ts';
import { createConsents } from './consents.ts';
import type { Database } from './database.ts';
import { createDeliveryWorker } from './delivery-worker.ts';
import { createExpiringGrants } from './expiring-grants.ts';
import { createNotifications } from './notifications.ts';
import { createOAuthClients } from './oauth-clients.ts';
import { createPendingRevocations } from './pending-revocations.ts';
import { createReadableChannels } from './readable-channels.ts';
import { createReceivedGrants } from './received-grants.ts';
import { createRefreshQueue } from './refresh-queue.ts';
import { createReplicas } from './replicas.ts';
import { createRetention } from './retention.ts';
import { createRevocations } from './revocations.ts';
import { createRotatedTokens } from './rotated-tokens.ts';
import { createSecurityEvents } from './security-events.ts';
import { createShreds } from './shreds.ts';
import { createStartedShreds } from './started-shreds.ts';
import { createSuspensions } from './suspensions.ts';
import { createTenantKeyRecords } from './tenant-keys.ts';
import { createTenants } from './tenants.ts';
import { createWorkloadAccess } from './workload-access.ts';
import { createWorkloadDenials } from './workload-denials.ts';
import { createWrongClock } from './wrong-clock.ts';

/** The system of record on PostgreSQL; the database must have been migrated. */
export function createStore({ database }: { readonly database: Database }): Store {
  return {
    tenants: createTenants(database),
    oauthClients: createOAuthClients(database),
    clientIncidents: createClientIncidents(database),
    channels: {
      ...createChannels(database),
      ...createSuspensions(database),
      ...createRefreshQueue(database),
      ...createChannelUse(database),
      ...createWrongClock(database),
      ...createRotatedTokens(database),
    },
    consents: { ...createConsents(database), ...createReceivedGrants(database) },
    workloadAccess: createWorkloadAccess(database),
    workloadDenials: createWorkloadDenials(database),
    changes: createChanges(database),
    replicas: createReplicas(database),
    notifications: {
      ...createNotifications(database),
      ...createExpiringGrants(database),
      ...createDeliveryWorker(database.options),
    },
    retention: createRetention(database),
    tenantKeys: createTenantKeyRecords(database),
    ciphertexts: createCiphertexts(database),
    shreds: { ...createShreds(database), ...createStartedShreds(database) },
    revocations: { ...createRevocations(database), ...createPendingRevocations(database) },
    securityEvents: createSecurityEvents(database),
    ...createReadableChannels(database),
    audit: createAuditLog(database),
    auditChains: createAuditChains(database),
    auditReader: createAuditReader(database),
    check: () => database.check(),
  };
}
