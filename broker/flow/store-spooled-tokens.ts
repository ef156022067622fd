/**
 * Stores the refresh tokens that wait in the local spool, because Vault or PostgreSQL was away, or this process was
 * killed, when Google gave them. Where a newer consent or a newer token has come meanwhile, the older one is dropped,
 * with a record.
 */
import { auditRecord, fingerprint } from '../domain/audit-record.ts';
import type { Scheduler } from '../domain/caller.ts';
import { refreshTokenHash, tokenNames } from '../domain/identifier.ts';
import { asBrokerError, BrokerError } from '../errors.ts';
import type { Clock, RefreshTokenSpool, SpoolEntry, SpooledToken, Store, TenantKeys } from '../ports.ts';

/** After this a consent that cannot be stored is given up: the owner has been asked again since. */
const giveUpMs = 7 * 24 * 3_600_000;

export interface StoreSpooledTokensDeps {
  readonly store: Store;
  readonly keys: TenantKeys;
  readonly spool: RefreshTokenSpool;
  readonly clock: Clock;
  readonly onFault: (error: unknown) => void;
}

export interface StoredSpooledTokens {
  /** Ids of the consents whose refresh token is stored now, and whose callback is long gone. */
  readonly consents: ReadonlySet<string>;
  /** How many tokens are still waiting. */
  readonly waiting: number;
}

export type StoreSpooledTokens = (caller: Scheduler) => Promise<StoredSpooledTokens>;

export function createStoreSpooledTokens(deps: StoreSpooledTokensDeps): StoreSpooledTokens {
  const { store, keys, spool, clock, onFault } = deps;

  return async (caller) => {
    const consents = new Set<string>();
    for (const entry of spool.waiting()) {
      try {
        const stored = await settle(caller, entry);
        if (stored?.kind === 'consented') consents.add(stored.consentId);
      } catch (error) {
        // One that does not open must not hold back the others; what is away is away for all of them.
        if (isAway(error)) break;
        onFault(error);
      }
    }
    return { consents, waiting: spool.waiting().length };
  };

  /** Answers the token where it has been stored by this. */
  async function settle(caller: Scheduler, entry: SpoolEntry): Promise<SpooledToken | undefined> {
    const token = await open(caller, entry);
    if (!token) return undefined;
    const stored = await storeToken(token);
    if (stored || (await isOvertaken(caller, token))) await entry.remove();
    return stored ? token : undefined;
  }

  /** Undefined where it is gone, or can never be opened again because its tenant's key is destroyed: then it is removed. */
  async function open(caller: Scheduler, entry: SpoolEntry): Promise<SpooledToken | undefined> {
    try {
      return await entry.open();
    } catch (error) {
      if (asBrokerError(error).code !== 'INTERNAL') throw error;
      const tenant = (await store.channels.find(entry.channel))?.tenant;
      if (tenant === undefined || (await store.tenants.find(tenant))?.state !== 'shredded') throw error;
      const target = { tenant, channel: entry.channel };
      const facts = { reason: 'a received token was dropped: the key that it is encrypted with is destroyed' };
      await store.audit.append(auditRecord(clock.now(), caller, 'token.refresh', 'TENANT_SHREDDED', target, facts));
      await entry.remove();
      return undefined;
    }
  }

  /** False where the store holds something else. */
  async function storeToken(token: SpooledToken): Promise<boolean> {
    const { tenant, channel, generation, refreshToken, refreshTokenExpiresAt } = token;
    const refreshTokenEncrypted = await keys.encrypt({ tenant, channel, generation }, refreshToken);
    const stored = { refreshTokenEncrypted, refreshTokenExpiresAt, ...tokenNames(refreshToken) };
    try {
      if (token.kind === 'consented') {
        const { consentId, dpopKeyVersion, scopes, receivedAt } = token;
        const received = { consentId, generation, dpopKeyVersion, scopes, receivedAt, ...stored };
        await store.consents.receive(received, token.record);
      } else {
        await store.channels.rotateToken({ ...token, ...stored }, token.record);
      }
      return true;
    } catch (error) {
      if (error instanceof BrokerError && error.code === 'STORE_CONFLICT') return false;
      throw error;
    }
  }

  /** True where the token is the channel's already, or is of no use any more. */
  async function isOvertaken(caller: Scheduler, token: SpooledToken): Promise<boolean> {
    const grant = (await store.channels.find(token.channel))?.grant;
    if (grant?.refreshTokenHash === refreshTokenHash(token.refreshToken)) return true;
    const now = clock.now();
    const isNewer = grant !== undefined && grant.generation >= token.generation;
    const isOld = now.getTime() - token.receivedAt.getTime() > giveUpMs;
    if (token.kind === 'consented' && !isNewer && !isOld) return false;
    const target = { tenant: token.tenant, channel: token.channel };
    const facts = {
      generation: token.generation,
      receivedAt: token.receivedAt.toISOString(),
      dropped: fingerprint(token.refreshToken.reveal()),
      reason: isNewer ? 'a newer grant is stored' : 'too old',
    };
    await store.audit.append(auditRecord(now, caller, token.record.action, 'STORE_CONFLICT', target, facts));
    return true;
  }
}

function isAway(error: unknown): boolean {
  const { code } = asBrokerError(error);
  return code.startsWith('VAULT_') || code === 'STORE_UNAVAILABLE' || code === 'AUDIT_UNAVAILABLE';
}
