/** The tables as the queries see them. The migrations create them; their comments explain the columns. */
import type { ColumnType, GeneratedAlways } from 'kysely';
import type { AuditRecord } from '../domain/audit-record.ts';
import type { ChannelState, StateReason } from '../domain/channel.ts';
import type { IncidentEnding, IncidentKind } from '../domain/client-incident.ts';
import type { ConsentFailure, ConsentStatus } from '../domain/consent.ts';
import type { NotificationFacts, NotificationState, NotificationType } from '../domain/notification.ts';
import type { Publishing } from '../domain/oauth-client.ts';
import type { RevocationOutcome } from '../domain/revocation.ts';
import type { ShredProof, ShredState, TenantState } from '../domain/shred.ts';
import type { TenantKeyFault } from '../domain/tenant-key.ts';

export interface Schema {
  tenants: TenantsTable;
  oauth_clients: OAuthClientsTable;
  channels: ChannelsTable;
  consents: ConsentsTable;
  workload_access: WorkloadAccessTable;
  workload_denials: WorkloadDenialsTable;
  audit_log: AuditLogTable;
  outbox: OutboxTable;
  broker_replicas: BrokerReplicasTable;
  notifications: NotificationsTable;
  security_events: SecurityEventsTable;

  audit_chains: AuditChainsTable;
  audit_checkpoints: AuditCheckpointsTable;
  tenant_shreds: TenantShredsTable;
  tenant_shred_revocations: TenantShredRevocationsTable;
  channel_revocations: ChannelRevocationsTable;
  revoke_links: RevokeLinksTable;
  oauth_client_incidents: OAuthClientIncidentsTable;
  oauth_client_suspicions: OAuthClientSuspicionsTable;
}

type TextArray = readonly string[];

interface TenantsTable {
  name: string;
  admins: TextArray;
  state: ColumnType<TenantState, TenantState | undefined, TenantState>;
  created_at: Date;
  key_version: ColumnType<number | null, undefined, number | null>;
  key_min_version: ColumnType<number, undefined, number>;
  key_fault: ColumnType<TenantKeyFault | null, undefined, TenantKeyFault | null>;
  key_rewrapped_at: ColumnType<Date | null, undefined, Date | null>;
  key_rewrap_failed: ColumnType<TextArray, undefined, TextArray>;
  key_rotate_every_s: ColumnType<number | null, undefined, number | null>;
  key_looked_at: ColumnType<Date | null, undefined, Date | null>;
  key_claimed_until: ColumnType<Date | null, undefined, Date | null>;
  key_claim_fence: ColumnType<number, undefined, number>;
}

interface OAuthClientsTable {
  name: string;
  client_id: string;
  dpop: boolean;
  created_at: Date;
  disabled_at: ColumnType<Date | null, Date | null | undefined, Date | null>;
  publishing: ColumnType<Publishing, Publishing | undefined, Publishing>;
}

export interface ChannelsTable {
  id: string;
  tenant: string;
  name: string;
  region: string;
  oauth_client: string;
  state: ChannelState;
  reason: StateReason;
  owner: string;
  admins: TextArray;
  requested_scopes: TextArray;
  generation: number;
  refresh_token_encrypted: string | null;
  refresh_token_key_version: GeneratedAlways<number | null>;
  refresh_token_hash: string | null;
  refresh_token_prefix_hash: ColumnType<string | null, string | null | undefined, string | null>;
  refresh_token_expires_at: ColumnType<Date | null, Date | null | undefined, Date | null>;
  security_event: ColumnType<string | null, string | null | undefined, string | null>;
  security_event_at: ColumnType<Date | null, Date | null | undefined, Date | null>;
  dpop_key_version: number | null;
  scopes: TextArray | null;
  consented_at: Date | null;
  google_subject: string | null;
  youtube_channel_id: string | null;
  youtube_title: string | null;
  access_token_cache_key: string | null;
  token_expiry: Date | null;
  last_refresh: Date | null;
  refresh_due_at: Date | null;
  refresh_failures: number;
  last_failure: string | null;
  claimed_until: ColumnType<Date | null, Date | null | undefined, Date | null>;
  claim_fence: ColumnType<number, number | undefined, number>;
  claimed_by: ColumnType<string | null, never, string | null>;
  awaited: ColumnType<boolean, never, boolean>;
  last_used_at: ColumnType<Date | null, Date | undefined, Date>;
  proof_due_at: ColumnType<Date | null, Date | undefined, Date | null>;
  wake_at: ColumnType<Date | null, never, Date | null>;
  state_changed_at: ColumnType<Date, never, never>;
  scrubbed_at: ColumnType<Date | null, never, Date | null>;
  created_at: Date;
  updated_at: Date;
}

export interface ConsentsTable {
  id: string;
  channel: string;
  tenant: string;
  oauth_client: string;
  link_hash: string;
  link_expires_at: Date;
  status: ConsentStatus;
  failure: ConsentFailure | null;
  failed_at: Date | null;
  completed_at: Date | null;
  created_by: string;
  created_at: Date;
  state_hash: string | null;
  browser_hash: string | null;
  code_verifier_encrypted: string | null;
  code_verifier_key_version: GeneratedAlways<number | null>;
  nonce: string | null;
  started_at: Date | null;
  request_expires_at: Date | null;
  taken_at: Date | null;
  received_generation: number | null;
  received_token_encrypted: string | null;
  received_token_key_version: GeneratedAlways<number | null>;
  received_token_hash: string | null;
  received_token_prefix_hash: ColumnType<string | null, string | null | undefined, string | null>;
  received_token_expires_at: ColumnType<Date | null, Date | null | undefined, Date | null>;
  received_dpop_key_version: number | null;
  received_scopes: TextArray | null;
  received_at: Date | null;
}

interface WorkloadAccessTable {
  spiffe_id: string;
  channel: string;
  tenant: string;
  reason: string;
  created_by: string;
  created_at: Date;
  scopes: TextArray | null;
  expires_at: Date | null;
  accepts_wider_token: boolean;
}

interface WorkloadDenialsTable {
  tenant: string;
  subject: string;
  reason: string;
  created_by: string;
  created_at: Date;
}

export interface AuditLogTable {
  id: GeneratedAlways<string>;
  at: Date;
  action: AuditRecord['action'];
  result: AuditRecord['result'];
  caller_kind: AuditRecord['callerKind'];
  caller: string;
  ip: string | null;
  request_id: string;
  tenant: string | null;
  channel: string | null;
  facts: AuditRecord['facts'];
  chain: string;
  seq: BigintText;
  version: number;
  leaf: Buffer;
  hash: Buffer;
}

interface OutboxTable {
  id: GeneratedAlways<string>;
  xid: GeneratedAlways<string>;
  at: GeneratedAlways<Date>;
  kind: string;
  tenant: string | null;
  channel: string | null;
  facts: ChangeFacts;
}

interface BrokerReplicasTable {
  id: string;
  regions: TextArray | null;
  version: string;
  started_at: GeneratedAlways<Date>;
  seen_at: ColumnType<Date, never, Date>;
  stopped_at: ColumnType<Date | null, never, Date | null>;
}

/** What the triggers write; empty where neither state nor generation is concerned. */
export interface ChangeFacts {
  readonly formerState?: ChannelState;
  readonly formerGeneration?: number;
  readonly state?: ChannelState;
  readonly generation?: number;
}

export interface NotificationsTable {
  id: string;
  type: NotificationType;
  occasion: string;
  at: Date;
  tenant: string | null;
  channel: string | null;
  generation: number | null;
  oauth_client: string | null;
  facts: ColumnType<NotificationFacts, string, never>;
  state: ColumnType<NotificationState, undefined, NotificationState>;
  attempts: ColumnType<number, undefined, number>;
  due_at: Date;
  claimed_until: ColumnType<Date | null, undefined, Date | null>;
  first_attempt_at: ColumnType<Date | null, undefined, Date | null>;
  last_attempt_at: ColumnType<Date | null, undefined, Date | null>;
  last_problem: ColumnType<string | null, undefined, string | null>;
  ended_at: ColumnType<Date | null, undefined, Date | null>;
}

interface SecurityEventsTable {
  jti: string;
  types: TextArray;
  issued_at: Date;
  received_at: Date;
}

export interface AuditChainsTable {
  chain: string;
  seq: BigintText;
  hash: Buffer;
}

export interface AuditCheckpointsTable {
  chain: string;
  seq: BigintText;
  hash: Buffer;
  at: Date;
  key_version: number;
  signature: string;
}

/** PostgreSQL's bigint, which `pg` reads as text. */
type BigintText = ColumnType<string, number, number>;
export interface TenantShredsTable {
  id: string;
  tenant: string;
  state: ShredState;
  reason: string;
  approvals_needed: number;
  without_revocation: boolean;
  requested_by: string;
  requested_at: Date;
  expires_at: Date;
  approved_by: string | null;
  approved_at: Date | null;
  started_by: string | null;
  started_at: Date | null;
  ended_at: Date | null;
  control_ciphertext: string | null;
  proof: ColumnType<ShredProof | null, string | null | undefined, string>;
  claimed_until: Date | null;
}

interface TenantShredRevocationsTable {
  shred: string;
  channel: string;
  outcome: RevocationOutcome | null;
  attempts: ColumnType<number, number | undefined, number>;
  due_at: Date;
}

export interface ChannelRevocationsTable {
  channel: string;
  tenant: string;
  generation: number;
  accepted: TextArray;
  requested_at: Date;
  outcome: RevocationOutcome | null;
  answered_at: Date | null;
  attempts: ColumnType<number, number | undefined, number>;
  due_at: Date;
  claimed_until: ColumnType<Date | null, undefined, Date | null>;
  proofs: ColumnType<number, undefined, number>;
  prove_at: ColumnType<Date | null, undefined, Date | null>;
}

interface RevokeLinksTable {
  channel: string;
  tenant: string;
  link_hash: string;
  created_by: string;
  created_at: Date;
  expires_at: Date;
}

interface OAuthClientIncidentsTable {
  id: GeneratedAlways<string>;
  oauth_client: string;
  kind: IncidentKind;
  opened_at: Date;
  error: string;
  ended_at: ColumnType<Date | null, undefined, Date>;
  ended_by: ColumnType<string | null, undefined, string>;
  ending: ColumnType<IncidentEnding | null, undefined, IncidentEnding>;
  believed_until: ColumnType<Date | null, undefined, Date | null>;
}

interface OAuthClientSuspicionsTable {
  channel: string;
  generation: number;
  kind: IncidentKind;
  oauth_client: string;
  error: string;
  first_at: Date;
  last_at: Date;
  times: number;
  believed: boolean;
  recovered: ColumnType<boolean, undefined, boolean>;
  incident: string | null;
}
