/**
 * The wire of the admin API: snake_case, instants in ISO 8601 UTC. One schema gives the check, the type and the
 * OpenAPI component. What an answer's schema does not name never leaves: answers are cut to it.
 */
import * as z from 'zod';
import { type AuditAction, auditActions } from '../../domain/audit-actions.ts';
import { channelStates } from '../../domain/channel.ts';
import { incidentEndings, incidentKinds } from '../../domain/client-incident.ts';
import { namePattern } from '../../domain/identifier.ts';
import { notificationStates, notificationTypes } from '../../domain/notification.ts';
import { publishingStatuses } from '../../domain/oauth-client.ts';
import { revocationOutcomes } from '../../domain/revocation.ts';
import { shredStates, tenantStates } from '../../domain/shred.ts';

/** Names the schemas that become components of the OpenAPI document. */
export const components = z.registry<{ readonly id: string }>();

function component<T extends z.ZodType>(id: string, schema: T): T {
  components.add(schema, { id });
  return schema;
}

const instant = z.iso.datetime();
const name = z
  .string()
  .regex(namePattern, 'use 1 to 40 lower-case letters, digits and hyphens, starting with a letter');
const principal = z
  .string()
  .regex(/^(?:user|group):\S{1,200}$/, 'write user:SUBJECT or group:NAME')
  .describe('`user:SUBJECT` or `group:NAME`, as the identity provider names them.');
const scope = z.string().min(1).max(200);
const spiffeId = z
  .string()
  .max(2048)
  .regex(/^spiffe:\/\//, 'write spiffe://TRUST-DOMAIN/PATH');

// ── What is sent ─────────────────────────────────────────────────────────────────────────────────────────────────

export const newTenant = component(
  'NewTenant',
  z.strictObject({
    name: name.describe('Becomes part of Vault paths; cannot be changed later.'),
    admins: z.array(principal).max(100).default([]).describe('Whoever creates it, where nobody is named.'),
  }),
);

const publishing = z
  .enum(publishingStatuses)
  .describe('Publishing status at Google. Refresh tokens of a client in testing end after seven days.');

export const newOAuthClient = component(
  'NewOAuthClient',
  z.strictObject({
    name: name.describe('Ours; names the secret in Vault.'),
    client_id: z.string().min(1).max(256).describe('As Google names it.'),
    client_secret: z.string().min(1).max(512).describe('Goes to Vault and is never shown again.'),
    dpop: z.boolean().default(true).describe('Bind grants to a key in Vault (RFC 9449).'),
    publishing: publishing.default('production'),
  }),
);

export const dpopChoice = component('DpopChoice', z.strictObject({ dpop: z.boolean() }));

export const publishingChoice = component('PublishingChoice', z.strictObject({ publishing }));

export const newClientSecret = component(
  'NewClientSecret',
  z.strictObject({
    client_secret: z.string().min(1).max(512).describe('Goes to Vault and is never shown again.'),
  }),
);

export const secretRetirement = component(
  'SecretRetirement',
  z.strictObject({
    force: z.boolean().default(false).describe('Also where Google does not accept the newest secret.'),
  }),
);

export const newChannel = component(
  'NewChannel',
  z.strictObject({
    tenant: name,
    name: name.describe('Unique within the tenant.'),
    oauth_client: name.describe('The OAuth client to ask for consent with.'),
    region: name.optional().describe('Where it is refreshed; the broker’s own region where absent.'),
    owner: z
      .string()
      .min(1)
      .max(200)
      .optional()
      .describe('Subject of its owner at the identity provider; you, where absent.'),
    admins: z.array(principal).max(100).optional(),
    scopes: z.array(scope).max(20).optional().describe('What to ask the owner for; upload and identify, where absent.'),
  }),
);

export const newWorkload = component(
  'NewWorkload',
  z.strictObject({
    spiffe_id: spiffeId.describe('The workload that may read the channel’s access tokens.'),
    reason: z.string().min(1).max(256).describe('Why; kept in the audit record.'),
  }),
);

const reason = z.string().min(1).max(256).describe('Why; kept in the audit record.');
export const suspension = component('Suspension', z.strictObject({ reason }));
export const newRevocation = component(
  'NewRevocation',
  z.strictObject({
    plan: z.string().min(1).max(64).describe('`digest` of the plan that you agree to.'),
    reason,
  }),
);

const confirm = name.describe('The name of the tenant once more, as typed by a person.');

export const newShred = component(
  'NewShred',
  z.strictObject({
    confirm,
    reason: z.string().min(1).max(256).describe('Why; kept in the audit record.'),
    without_revocation: z.boolean().default(false).describe('Do not ask Google to revoke the grants.'),
  }),
);
export const shredApproval = component('ShredApproval', z.strictObject({ confirm }));
export const shredStart = component(
  'ShredStart',
  z.strictObject({
    confirm,
    without_revocation: z.boolean().default(false).describe('Go on without those that Google has not revoked.'),
  }),
);

export const channelFilter = z.strictObject({
  tenant: name.optional().describe('Only this tenant’s.'),
  state: z.enum(channelStates).optional().describe('Only those in this state.'),
});

const count = z.string().regex(/^\d{1,15}$/, 'write a whole number');
const zonedInstant = z.iso
  .datetime({ offset: true, error: 'write an instant with its time zone, such as 2026-03-01T12:00:00Z' })
  .transform((text) => new Date(text));

export const auditFilter = z.strictObject({
  tenant: name.optional().describe('Whose chain; that of the installation, where absent.'),
  channel: z.string().max(64).optional(),
  action: z.enum(Object.keys(auditActions) as AuditAction[]).optional(),
  result: z.string().max(64).optional().describe('`ok` or an error code.'),
  caller: z.string().max(2048).optional().describe('Subject or SPIFFE ID.'),
  request_id: z.string().max(128).optional().describe('As answered, or what the caller named the request.'),
  since: zonedInstant.optional().describe('From this instant on.'),
  until: zonedInstant.optional().describe('Before this instant.'),
  limit: count.optional().describe('At most so many; 100 where absent, never more than 1000.'),
  before: count.optional().describe('Goes on backwards: `next` of the page before.'),
  after: count.optional().describe('Forwards instead, from after this seq; oldest first.'),
  wait: count.optional().describe('With `after`: waits so many seconds for a new record, at most 25.'),
});

export const exportQuery = z.strictObject({
  tenant: name.optional().describe('Whose chain; that of the installation, where absent.'),
  from: count
    .optional()
    .describe('From this seq on, as far as a checkpoint covers what was before; all, where absent.'),
});

// ── What is answered ─────────────────────────────────────────────────────────────────────────────────────────────

export const tenant = component(
  'Tenant',
  z.object({
    name: z.string(),
    admins: z.array(z.string()),
    created_at: instant,
    state: z.enum(tenantStates).describe('`shredding` and `shredded`: there is no way back.'),
  }),
);

export const oauthClient = component(
  'OAuthClient',
  z.object({
    name: z.string(),
    client_id: z.string(),
    dpop: z.boolean().describe('Whether new grants are bound to a key in Vault.'),
    publishing,
    disabled_at: instant.nullable().describe('Since when it is switched off; null where it is in use.'),
    channels: z.int().nullable().describe('How many channels use it, where that is told: to operators.'),
    incidents: z.array(z.enum(incidentKinds)).describe('The kinds of its open incidents.'),
    created_at: instant,
  }),
);

export const shownOAuthClient = component(
  'ShownOAuthClient',
  z.object({
    oauth_client: oauthClient,
    secrets: z
      .array(z.object({ version: z.int().describe('In Vault KV.'), created_at: instant }))
      .describe('In the order in which they are tried.'),
  }),
);

export const rotatedSecret = component(
  'RotatedSecret',
  z.object({
    version: z.int().describe('Of the secret that is tried first now.'),
    accepted: z.boolean().nullable().describe('Whether Google accepts it; null where Google did not answer.'),
  }),
);

export const rotatedKey = component(
  'RotatedKey',
  z.object({ version: z.int().describe('What new grants are bound to.') }),
);

const incidentKind = z
  .enum(incidentKinds)
  .describe(
    '`client_rejected`: Google refuses the client itself. `mass_invalid_grant`: many of its grants seem dead at once.',
  );

export const incidentFilter = z.strictObject({ all: z.enum(['true', 'false']).optional() });

export const thawRequest = component(
  'ThawRequest',
  z.strictObject({
    kind: incidentKind,
    believe: z
      .boolean()
      .default(false)
      .describe('Google is right: nothing is put back, and what it says is believed for a day.'),
  }),
);

const incident = component(
  'OAuthClientIncident',
  z.object({
    oauth_client: z.string(),
    kind: incidentKind,
    opened_at: instant,
    error: z.string().describe('The code that Google answered.'),
    ended: z.object({ at: instant, by: z.string(), ending: z.enum(incidentEndings) }).nullable(),
  }),
);
const shownIncident = z.object({
  incident,
  channels: z
    .array(
      z.object({
        channel: z.string(),
        tenant: z.string(),
        error: z.string(),
        first_at: instant,
        last_at: instant,
        changed: z.boolean().describe('Its state was changed before the incident was known.'),
      }),
    )
    .describe('Those whose state was changed come first; at most a thousand.'),
  total: z.int().describe('How many there are in all.'),
});
export const incidentList = component('OAuthClientIncidentList', z.object({ incidents: z.array(incident) }));
export const shownIncidentList = component(
  'ShownOAuthClientIncidentList',
  z.object({ incidents: z.array(shownIncident) }),
);
export const thawed = component(
  'ThawedOAuthClient',
  z.object({ restored: z.array(z.string()).describe('Channels that are active again.') }),
);

export const grant = component(
  'Grant',
  z.object({
    generation: z.int().describe('Counts the consents.'),
    scopes: z.array(z.string()).describe('What the owner granted.'),
    youtube_channel_id: z.string(),
    youtube_title: z.string(),
    consented_at: instant,
    token_expires_at: instant.nullable().describe('When the newest access token expires.'),
    last_refresh_at: instant.nullable(),
    refresh_due_at: instant.nullable(),
    refresh_failures: z.int().describe('In a row, since the last success.'),
    last_failure: z.string().nullable().describe('Class of the last failure.'),
  }),
);

export const channel = component(
  'Channel',
  z.object({
    id: z.string(),
    tenant: z.string(),
    name: z.string(),
    region: z.string(),
    oauth_client: z.string(),
    state: z.enum(channelStates),
    reason: z.string().describe('Why it is in its state.'),
    degraded: z.boolean().describe('Active, but its refreshes fail for a reason that is not the owner’s.'),
    owner: z.string(),
    admins: z.array(z.string()),
    requested_scopes: z.array(z.string()),
    grant: grant.nullable().describe('The consent behind it; null before the first.'),
    created_at: instant,
    updated_at: instant,
  }),
);

export const consentLink = component(
  'ConsentLink',
  z.object({
    url: z
      .url()
      .describe('To be sent to the channel’s owner. Whoever has it can connect a channel: treat it as a secret.'),
    expires_at: instant,
  }),
);

export const workload = component(
  'Workload',
  z.object({ spiffe_id: z.string(), reason: z.string(), created_by: z.string(), created_at: instant }),
);

export const tenantList = component('TenantList', z.object({ tenants: z.array(tenant) }));
export const oauthClientList = component('OAuthClientList', z.object({ oauth_clients: z.array(oauthClient) }));
export const channelList = component('ChannelList', z.object({ channels: z.array(channel) }));
export const addedChannel = component('AddedChannel', z.object({ channel, consent_link: consentLink }));
export const consent = component(
  'Consent',
  z.object({
    status: z
      .enum(['pending', 'received', 'completed'])
      .describe('`received`: stored; its checks go on by themselves.'),
    failure: z
      .string()
      .nullable()
      .describe('How the newest try failed; see docs/consent.md. The link can be used again.'),
    started_at: z.iso.datetime().nullable().describe('When the owner last set out for Google.'),
    link_expires_at: z.iso.datetime(),
    invited_by: z.string(),
    invited_at: z.iso.datetime(),
  }),
);
export const shownChannel = component(
  'ShownChannel',
  z.object({ channel, newest_consent: consent.nullable(), workloads: z.array(workload) }),
);

export const auditEntry = component(
  'AuditEntry',
  z.object({
    id: z.string().describe('Names the record for good.'),
    chain: z.string().nullable().describe('The tenant; null for the chain of the installation.'),
    seq: z.int().describe('1, 2, 3 without gaps within the chain.'),
    at: instant,
    action: z.string(),
    result: z.string().describe('`ok` or an error code.'),
    caller_kind: z.string(),
    caller: z.string().describe('Subject or SPIFFE ID.'),
    ip: z.string().nullable(),
    request_id: z.string(),
    tenant: z.string().nullable(),
    channel: z.string().nullable(),
    facts: z.record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.array(z.string())])),
    hash: z.string().describe('Of the chain up to this record; hexadecimal.'),
  }),
);
export const auditPage = component(
  'AuditPage',
  z.object({
    records: z.array(auditEntry),
    next: z.int().nullable().describe('Where to go on, as `before` or `after`; null at the beginning of the chain.'),
    head: z.int().describe('The newest seq of the chain.'),
  }),
);
const outcome = z.enum(revocationOutcomes).nullable().describe('At Google; null while that is not known.');
const sibling = z.object({
  id: z.string(),
  tenant: z.string(),
  name: z.string(),
  state: z.enum(channelStates),
});

export const revocationPlan = component(
  'RevocationPlan',
  z.object({
    channel,
    at_google: z.boolean().describe('Whether there is a grant that Google has to take back.'),
    siblings: z
      .array(sibling)
      .describe('Channels that Google ends with it, as far as you may act on them; operators see all.'),
    unnamed: z
      .object({ active: z.int(), suspended: z.int() })
      .describe('How many more of other tenants Google ends with it, by their state.'),
    digest: z.string().describe('Stands for this plan; give it back as `plan` to agree to it.'),
  }),
);

export const revocationStatus = component(
  'RevocationStatus',
  z.object({
    channel,
    revocation: z
      .object({
        requested_at: instant,
        outcome,
        answered_at: instant.nullable().describe('When that became known.'),
        attempts: z.int().describe('How often Google was asked.'),
        next_attempt_at: instant.nullable(),
      })
      .nullable()
      .describe('Null where there was nothing to revoke at Google, or the channel is not revoked.'),
  }),
);

export const revokeLink = component(
  'RevokeLink',
  z.object({
    url: z
      .url()
      .describe('To be sent to the channel’s owner. Whoever has it can disconnect the channel: treat it as a secret.'),
    expires_at: instant,
  }),
);

const revocations = z
  .record(z.enum([...revocationOutcomes, 'pending']), z.int())
  .describe('Grants by what became of them at Google.');

export const shredPlan = component(
  'ShredPlan',
  z.object({
    tenant,
    channels: z.array(channel),
    workloads: z.array(z.string()).describe('SPIFFE IDs that lose access.'),
    open_consents: z.int().describe('Consents that owners have not finished.'),
    shared: z
      .array(z.object({ channel: z.string(), siblings: z.int(), named: z.array(z.string()) }))
      .describe(
        'Channels whose grant is not revoked at Google, because it would end channels of other tenants; `named` are those that you may see.',
      ),
    approvals_needed: z.int(),
  }),
);

export const shredStatus = component(
  'ShredStatus',
  z.object({
    tenant,
    key: z.enum(['present', 'soft_deleted', 'absent']).nullable().describe('The key in Vault, once it was started.'),
    shred: z
      .object({
        id: z.string(),
        state: z.enum(shredStates),
        reason: z.string(),
        approvals_needed: z.int(),
        without_revocation: z.boolean(),
        requested_by: z.string(),
        requested_at: instant,
        expires_at: instant.describe('A request that was not started by then is void.'),
        approved_by: z.string().nullable(),
        approved_at: instant.nullable(),
        started_by: z.string().nullable(),
        started_at: instant.nullable(),
        ended_at: instant.nullable(),
        revocations: revocations.nullable(),
        proof: z
          .object({
            at: instant,
            channels: z.int(),
            ciphertexts: z.int().describe('Stored ciphertexts that were tried.'),
            opened: z.int(),
            ciphertexts_digest: z.string(),
            key_absent: z.boolean(),
            control_refused: z.boolean(),
            control_had_opened: z.boolean().describe('Whether the refused control was seen to open at the start.'),
          })
          .nullable(),
      })
      .nullable(),
  }),
);

export const auditRestore = component(
  'AuditRestore',
  z.strictObject({
    tenant: name.optional().describe('Whose chain; the installation’s, where absent.'),
    reason: z.string().min(1).max(256).describe('What was restored and why; kept in the audit record.'),
  }),
);

export const auditHead = component(
  'AuditHead',
  z.object({
    chain: z.string().nullable().describe('The tenant; null for the chain of the installation.'),
    seq: z.int().describe('The newest record, which Vault has signed.'),
    hash: z.string().describe('Of the chain up to it; hexadecimal.'),
  }),
);

export const exportLine = component(
  'AuditExportLine',
  z
    .looseObject({ type: z.enum(['header', 'key', 'anchor', 'record', 'checkpoint', 'end']) })
    .describe('A line of an export; docs/audit.md tells each, and how to verify them.'),
);

export const newMinKeyVersion = component(
  'NewMinKeyVersion',
  z.strictObject({ to: z.int().min(1).optional().describe('The newest version, where absent.') }),
);

export const newKeySchedule = component(
  'NewKeySchedule',
  z.strictObject({
    rotate_every_seconds: z
      .int()
      .min(1)
      .nullable()
      .describe('How old the newest version may get; null for no schedule.'),
  }),
);

export const tenantKey = component(
  'TenantKey',
  z.object({
    tenant: z.string(),
    fault: z.enum(['missing', 'unsuitable']).nullable().describe('What is wrong with the key in Vault.'),
    newest_version: z.int().describe('0 where the key cannot be used.'),
    min_version: z.int().describe('The oldest version that decrypts.'),
    versions: z.array(z.object({ version: z.int(), created_at: instant.nullable(), rows: z.int() })),
    rows: z.int().describe('Ciphertexts that are stored: refresh tokens, received ones, PKCE verifiers.'),
    rows_to_rewrap: z.int().describe('Those that need a version before the newest.'),
    percent: z.int().describe('How much is rewrapped.'),
    rewrapping: z.boolean().describe('A broker is working on them.'),
    rows_per_second: z.int().nullable().describe('The most that one replica rewraps; null for no limit.'),
    rewrap_failed: z.array(z.string()).describe('Rows that Vault could not rewrap: kind and id.'),
    rewrapped_at: instant.nullable().describe('Since when no row needs a version before the newest.'),
    safe_min_version: z.int().nullable().describe('What the minimum can be raised to now.'),
    rotate_every_seconds: z.int().nullable(),
    next_rotation_at: instant.nullable(),
    next_raise_at: instant.nullable(),
  }),
);

export const notificationFilter = z.strictObject({
  tenant: name.optional(),
  channel: z.string().max(64).optional(),
  state: z.enum(notificationStates).optional().describe('`dead` for dead letters.'),
  limit: z
    .string()
    .regex(/^\d{1,4}$/)
    .optional()
    .describe('100 where absent, 1000 at most.'),
});

export const notification = component(
  'Notification',
  z.object({
    id: z.string().describe('Its webhook-id, on each delivery the same.'),
    type: z.enum(notificationTypes),
    at: instant.describe('Of what it tells.'),
    tenant: z.string().nullable(),
    channel: z.string().nullable(),
    generation: z.int().nullable().describe('Of the channel’s grant that it is about.'),
    oauth_client: z.string().nullable(),
    facts: z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])).describe('As they are told.'),
    state: z.enum(notificationStates),
    attempts: z.int().describe('Tries since it was written or sent again.'),
    next_attempt_at: instant.nullable(),
    last_attempt_at: instant.nullable(),
    last_problem: z.string().nullable().describe('Why the last try failed, as a code.'),
    ended_at: instant.nullable().describe('When it was delivered, given up or found to be true no more.'),
  }),
);

export const notificationList = component('NotificationList', z.object({ notifications: z.array(notification) }));

export const newSigningSecret = component(
  'NewSigningSecret',
  z.strictObject({
    secret: z
      .string()
      .min(1)
      .max(128)
      .describe('`whsec_` and the base64 of 24 to 64 random bytes (Standard Webhooks).'),
  }),
);

export const signingSecret = component(
  'SigningSecret',
  z.object({
    both_until: instant.nullable().describe('Until when the former one signs beside it; null where there was none.'),
  }),
);

export const whoami = component(
  'Identity',
  z.object({
    subject: z.string(),
    name: z.string().nullable(),
    groups: z.array(z.string()),
    principals: z.array(z.string()).describe('By any of these an admin list may name you.'),
  }),
);

export const apiError = component(
  'Error',
  z.object({
    error: z.object({
      code: z.string().describe('Stable; see docs/api.md.'),
      message: z.string().describe('What is wrong.'),
      next: z.string().describe('What to do.'),
      problems: z.array(z.string()).describe('What is wrong with which field, as `field: sentence`.'),
      request_id: z.string().describe('By this the operators find the cause in the log.'),
    }),
  }),
);

/** The answers, for clients written in TypeScript. */
export type TenantAnswer = z.output<typeof tenant>;
export type OAuthClientAnswer = z.output<typeof oauthClient>;
export type ShownOAuthClientAnswer = z.output<typeof shownOAuthClient>;
export type RotatedSecretAnswer = z.output<typeof rotatedSecret>;
export type RotatedKeyAnswer = z.output<typeof rotatedKey>;
export type ChannelAnswer = z.output<typeof channel>;
export type AddedChannelAnswer = z.output<typeof addedChannel>;
export type ConsentAnswer = z.output<typeof consent>;
export type ShownChannelAnswer = z.output<typeof shownChannel>;
export type RevocationPlanAnswer = z.output<typeof revocationPlan>;
export type RevocationStatusAnswer = z.output<typeof revocationStatus>;
export type RevokeLinkAnswer = z.output<typeof revokeLink>;
export type ConsentLinkAnswer = z.output<typeof consentLink>;
export type WorkloadAnswer = z.output<typeof workload>;
export type AuditEntryAnswer = z.output<typeof auditEntry>;
export type AuditHeadAnswer = z.output<typeof auditHead>;
export type AuditPageAnswer = z.output<typeof auditPage>;
export type NotificationAnswer = z.output<typeof notification>;
export type SigningSecretAnswer = z.output<typeof signingSecret>;
export type WhoamiAnswer = z.output<typeof whoami>;
export type ShredPlanAnswer = z.output<typeof shredPlan>;
export type ShredStatusAnswer = z.output<typeof shredStatus>;
export type ErrorAnswer = z.output<typeof apiError>;
export type TenantKeyAnswer = z.output<typeof tenantKey>;
export type IncidentAnswer = z.output<typeof incident>;
export type IncidentListAnswer = z.output<typeof incidentList>;
export type ShownIncidentAnswer = z.output<typeof shownIncident>;
export type ShownIncidentListAnswer = z.output<typeof shownIncidentList>;
export type ThawedAnswer = z.output<typeof thawed>;
