/**
 * Everything that can be on the audit record; the names are part of the public API. A row says what kind of act it is
 * (for the formats of security-event systems) and what it is in words. docs/audit.md has a row for each, with its facts.
 */

/** What an act does to the thing that it names; `logon` proves an identity. */
export type AuditActionKind = 'create' | 'read' | 'update' | 'delete' | 'logon';

export interface AuditActionRow {
  readonly kind: AuditActionKind;
  /** In the imperative, without a full stop: true of the act that was done and of the one that was refused. */
  readonly what: string;
}

export const auditActions = {
  'tenant.create': { kind: 'create', what: 'Create a tenant and its key' },
  'tenant.list': { kind: 'read', what: 'List the tenants' },
  'tenant.key-status': { kind: 'read', what: 'Look at the state of a tenant’s key' },
  'tenant.key-rotate': { kind: 'update', what: 'Rotate a tenant’s key' },
  'tenant.key-notice': { kind: 'update', what: 'Notice a new version of a tenant’s key, or what is wrong with it' },
  'tenant.key-rewrap': { kind: 'update', what: 'Rewrap a tenant’s ciphertexts to the newest key version' },
  'tenant.key-min-version': { kind: 'update', what: 'Change the oldest key version that decrypts' },
  'tenant.key-schedule': { kind: 'update', what: 'Change how often a tenant’s key is rotated' },
  'tenant.shred-plan': { kind: 'read', what: 'Show what shredding a tenant would destroy' },
  'tenant.shred-status': { kind: 'read', what: 'Show how far the shredding of a tenant is' },
  'tenant.shred-request': { kind: 'update', what: 'Request that a tenant be shredded' },
  'tenant.shred-approve': { kind: 'update', what: 'Approve the shredding of a tenant' },
  'tenant.shred-cancel': { kind: 'update', what: 'Cancel the shredding of a tenant' },
  'tenant.shred-start': { kind: 'update', what: 'Start to shred a tenant, or go on with it' },
  'tenant.shred-revoked': { kind: 'update', what: 'End the revocations at Google of a tenant that is shredded' },
  'tenant.shred': { kind: 'delete', what: 'Prove that a tenant’s key is destroyed and nothing of it decrypts' },
  'oauth-client.add': { kind: 'create', what: 'Add an OAuth client' },
  'oauth-client.list': { kind: 'read', what: 'List the OAuth clients' },
  'oauth-client.show': { kind: 'read', what: 'Show an OAuth client' },
  'oauth-client.disable': { kind: 'update', what: 'Switch an OAuth client off' },
  'oauth-client.enable': { kind: 'update', what: 'Switch an OAuth client on' },
  'oauth-client.set-dpop': { kind: 'update', what: 'Say whether new grants of an OAuth client are bound' },
  'oauth-client.set-publishing': { kind: 'update', what: 'Say which publishing status an OAuth client has at Google' },
  'oauth-client.rotate-secret': { kind: 'update', what: 'Put a new secret of an OAuth client in front' },
  'oauth-client.retire-secret': { kind: 'delete', what: 'End the former secrets of an OAuth client' },
  'oauth-client.rotate-dpop-key': { kind: 'update', what: 'Make a new version of a DPoP key' },
  'oauth-client.incident': { kind: 'update', what: 'Open an incident of an OAuth client' },
  'oauth-client.incident-end': { kind: 'update', what: 'End an incident of an OAuth client' },
  'oauth-client.incident-list': { kind: 'read', what: 'Look at the incidents of OAuth clients' },
  'channel.add': { kind: 'create', what: 'Add a channel' },
  'channel.list': { kind: 'read', what: 'List channels' },
  'channel.show': { kind: 'read', what: 'Show a channel' },
  'channel.state': { kind: 'update', what: 'Change the state of a channel' },
  'channel.suspend': { kind: 'update', what: 'Suspend a channel' },
  'channel.resume': { kind: 'update', what: 'Resume a suspended channel' },
  'channel.revoke-plan': { kind: 'read', what: 'Show what ends when a channel is revoked' },
  'channel.revoke-status': { kind: 'read', what: 'Show how far the revocation of a channel is' },
  'channel.revoke-link': { kind: 'create', what: 'Make a link by which an owner disconnects a channel' },
  'channel.revoke-open': { kind: 'read', what: 'Open a link to disconnect a channel' },
  'channel.revoke-request': { kind: 'delete', what: 'Revoke a channel, for good' },
  'channel.revoke': { kind: 'delete', what: 'Revoke a grant at Google' },
  'channel.security-event': { kind: 'update', what: 'Act on a security event of Google about a channel' },
  'consent.invite': { kind: 'create', what: 'Make a consent link' },
  'consent.open': { kind: 'read', what: 'Open a consent link that is not valid' },
  'consent.begin': { kind: 'update', what: 'Send an owner to Google to consent' },
  'consent.receive': { kind: 'update', what: 'Store a refresh token that came with a consent' },
  'consent.complete': { kind: 'update', what: 'Finish a consent' },
  'workload.allow': { kind: 'create', what: 'Let a workload read a channel' },
  'workload.list': { kind: 'read', what: 'List who may read channels' },
  'workload.remove': { kind: 'delete', what: 'Take an access rule back' },
  'workload.deny': { kind: 'create', what: 'Shut a workload or a certificate out' },
  'workload.undeny': { kind: 'delete', what: 'Let a workload or a certificate in again that was shut out' },
  'workload.denied': { kind: 'read', what: 'List who is shut out' },
  'channel.subscribe': { kind: 'read', what: 'Hear of the changes of a channel' },
  'token.release': { kind: 'read', what: 'Release an access token to a workload' },
  'token.refresh': { kind: 'update', what: 'Refresh an access token at Google' },
  'channel.expiring': { kind: 'update', what: 'Tell that a grant will end by itself at Google' },
  'notification.list': { kind: 'read', what: 'List notifications' },
  'notification.show': { kind: 'read', what: 'Show a notification' },
  'notification.resend': { kind: 'update', what: 'Have a notification delivered again' },
  'notification.give-up': { kind: 'update', what: 'Give up the delivery of a notification' },
  'notification.set-secret': { kind: 'update', what: 'Change the secret that notifications are signed with' },
  'replica.list': { kind: 'read', what: 'List the replicas of the broker' },
  'audit.list': { kind: 'read', what: 'Look at the audit record' },
  'audit.follow': { kind: 'read', what: 'Follow the audit record' },
  'audit.export': { kind: 'read', what: 'Export an audit chain' },
  'security-event.receive': { kind: 'create', what: 'Take in a security event of Google' },
  'retention.run': { kind: 'delete', what: 'Delete what is kept no longer' },
  'audit.prune': { kind: 'delete', what: 'Delete the beginning of an audit chain, which is kept no longer' },
  'audit.accept-restore': { kind: 'update', what: 'Accept that an audit chain was restored from a backup' },
  'identity.login': { kind: 'logon', what: 'Accept an identity for the first time' },
  'identity.verify': { kind: 'logon', what: 'Refuse a caller whose identity is not good' },
} as const satisfies Readonly<Record<string, AuditActionRow>>;

/** The row of an action. */
export function rowOf(action: AuditAction): AuditActionRow {
  return auditActions[action];
}

/** What can be done; part of the public API. */
export type AuditAction = keyof typeof auditActions;
