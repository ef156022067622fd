/**
 * Carries shreds that were started to their end, one step at a time, by whichever broker is there: revocations at Google
 * with back-off, then waiting until the key is gone from Vault, then the proof. A broker that is killed loses its claim
 * within a minute, and another goes on; every step can be done again.
 */
import { createHash } from 'node:crypto';
import { auditRecord } from '../domain/audit-record.ts';
import type { Scheduler } from '../domain/caller.ts';
import type { Channel } from '../domain/channel.ts';
import { type RevocationOutcome, revocationRetryAt } from '../domain/revocation.ts';
import {
  longestRevocationPauseSeconds,
  mostRevocationAttempts,
  noControl,
  type Shred,
  type ShredProof,
} from '../domain/shred.ts';
import { asBrokerError, BrokerError } from '../errors.ts';
import type { AccessTokenCache, Clock, DataKeys, Store, TenantKeys } from '../ports.ts';
import type { GrantRevocation, RevokeGrant } from './revoke-grant.ts';

const claimMs = 60_000;
const atOnce = 8;
const batch = 64;
/** Longer than a replica that is idle takes to look: one that has missed the whole shred forgets the tenant, too. */
const forgetForMs = 120_000;
/** How soon a broker looks again whether the next revocation is due, or the key is gone. */
const pauseMs = 1_000;
/** How soon it looks whether another broker has started one. */
const idleMs = 30_000;

export interface ContinueShredsDeps {
  readonly store: Store;
  readonly keys: TenantKeys;
  readonly revokeGrant: RevokeGrant;
  readonly cache: AccessTokenCache;
  readonly dataKeys: DataKeys;
  readonly clock: Clock;
}

/** Does what can be done now; answers after how many milliseconds to look again. */
export type ContinueShreds = (caller: Scheduler) => Promise<number>;

export function createContinueShreds(deps: ContinueShredsDeps): ContinueShreds {
  const { store, keys, revokeGrant, cache, dataKeys, clock } = deps;

  return async (caller) => {
    const ended = await store.shreds.ended(new Date(clock.now().getTime() - forgetForMs));
    // On every replica, and again each time: one that was slow may have cached something after the start.
    for (const { tenant, channels } of ended) {
      dataKeys.forget(tenant);
      await Promise.all(channels.map(({ id, generation }) => cache.drop(cache.keyOf(id, generation))));
    }
    const now = clock.now();
    const shred = ended.length > 0 ? await store.shreds.claim(now, new Date(now.getTime() + claimMs)) : undefined;
    if (shred) {
      try {
        if (await revokeAll(caller, shred)) await finishWithoutKey(caller, shred);
      } finally {
        await store.shreds.release(shred.id, new Date(clock.now().getTime() + pauseMs)).catch(() => undefined);
      }
    }
    return ended.length > 0 ? pauseMs : idleMs;
  };

  /** Answers whether nothing is left to be revoked. */
  async function revokeAll(caller: Scheduler, shred: Shred): Promise<boolean> {
    if (shred.state !== 'revoking') return true;
    const claimedAt = clock.now().getTime();
    for (;;) {
      const due = await store.shreds.dueRevocations(shred.id, clock.now(), batch);
      // Half of the claim is for what is under way when its end comes near.
      if (due.length === 0 || clock.now().getTime() - claimedAt > claimMs / 2) break;
      for (let start = 0; start < due.length; start += atOnce) {
        await Promise.all(due.slice(start, start + atOnce).map((one) => revokeOne(caller, shred, one)));
      }
    }
    const tally = await store.shreds.tally(shred.id);
    if (tally.pending > 0 || tally.failed > 0) return false;
    const { tenant, id } = shred;
    const facts = { shred: id, ...tally };
    const record = auditRecord(clock.now(), caller, 'tenant.shred-revoked', 'ok', { tenant }, facts);
    await store.shreds.revocationsDone(id, record);
    return true;
  }

  async function revokeOne(
    caller: Scheduler,
    shred: Shred,
    {
      channel,
      attempts,
      hasSibling,
    }: { readonly channel: Channel; readonly attempts: number; readonly hasSibling: boolean },
  ): Promise<void> {
    const answer = hasSibling ? 'kept_for_sibling' : await revokeGrant(channel);
    const now = clock.now();
    const failure = typeof answer === 'object' && answer.result === 'failed' ? answer.failure : undefined;
    const outcome = outcomeOf(answer, attempts + 1);
    const facts = {
      shred: shred.id,
      outcome: outcome ?? 'retry',
      attempt: attempts + 1,
      ...(failure && { error: failure.error ?? '', status: failure.status ?? 0 }),
    };
    const result = failure ? 'AUTHORIZATION_SERVER_UNAVAILABLE' : 'ok';
    const target = { tenant: channel.tenant, channel: channel.id };
    const record = auditRecord(now, caller, 'channel.revoke', result, target, facts);
    const dueAt = revocationRetryAt(now, attempts + 1, failure?.retryAfter, longestRevocationPauseSeconds);
    try {
      await store.shreds.revocationTried(shred.id, channel.id, { outcome, dueAt }, record);
    } catch (error) {
      // Another broker, or a person who goes on without, was faster.
      if (asBrokerError(error).code !== 'STORE_CONFLICT') throw error;
    }
  }

  async function finishWithoutKey(caller: Scheduler, shred: Shred): Promise<void> {
    const { id, tenant } = shred;
    if ((await keys.presence(tenant)) !== 'absent') return;
    const proof = await prove(shred);
    const { revocations, at, ...found } = proof;
    const facts = {
      shred: id,
      requestedBy: shred.requestedBy,
      approvedBy: shred.approvedBy ?? '',
      startedBy: shred.startedBy ?? '',
      ...found,
      ...revocations,
    };
    const now = clock.now();
    await store.shreds.finish(shred, proof, now, auditRecord(now, caller, 'tenant.shred', 'ok', { tenant }, facts));
    dataKeys.forget(tenant);
  }

  /** Throws INTERNAL where something still opens: then it is not over, and the operator's log says so. */
  async function prove({ id, tenant, controlCiphertext = '' }: Shred): Promise<ShredProof> {
    const ciphertexts = await store.shreds.ciphertexts(tenant);
    const opened = await keys.countOpening(tenant, ciphertexts);
    const controlOpened = await keys.unwrapDataKey(tenant, controlCiphertext).then(
      () => true,
      (error: unknown) => {
        if (asBrokerError(error).code !== 'INTERNAL') throw error;
        return false;
      },
    );
    if (opened > 0 || controlOpened) {
      throw new BrokerError('INTERNAL', { detail: `shred ${id}: ${opened} ciphertexts open although the key is gone` });
    }
    return {
      at: clock.now().toISOString(),
      channels: (await store.channels.list({ tenant })).length,
      ciphertexts: ciphertexts.length,
      opened,
      ciphertextsDigest: digestOf(ciphertexts.map(({ ciphertext }) => ciphertext)),
      keyAbsent: true,
      controlRefused: true,
      controlHadOpened: controlCiphertext !== noControl,
      revocations: await store.shreds.tally(id),
    };
  }
}

function outcomeOf(answer: GrantRevocation | 'kept_for_sibling', attempt: number): RevocationOutcome | undefined {
  if (typeof answer === 'string') return answer;
  if (answer.result !== 'failed') return answer.result;
  return attempt >= mostRevocationAttempts ? 'failed' : undefined;
}

function digestOf(ciphertexts: readonly string[]): string {
  const each = ciphertexts.map((ciphertext) => createHash('sha256').update(ciphertext).digest('hex'));
  return createHash('sha256').update(each.sort().join('')).digest('hex');
}
