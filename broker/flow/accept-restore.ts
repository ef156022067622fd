import type { ChainHead } from '../domain/audit-chain.ts';
import { installationChain } from '../domain/audit-chain.ts';
import { auditRecord } from '../domain/audit-record.ts';
import type { Person } from '../domain/caller.ts';
import { BrokerError } from '../errors.ts';
import type { AuditAnchors, CheckpointSigner, Clock, Store } from '../ports.ts';
import type { Authorize } from './authorize.ts';
import { invalid } from './input.ts';

/**
 * Accepts, for an operator who put a backup back, that a chain is not what Vault holds of it: says so in the chain itself, with
 * what was lost by number and hash, has the new end signed, and moves the anchor there. Nothing else ever lowers an anchor.
 */
export function createAcceptRestore(deps: {
  authorize: Authorize;
  store: Store;
  checkpointSigner: CheckpointSigner;
  auditAnchors: AuditAnchors;
  clock: Clock;
}) {
  const { authorize, store, checkpointSigner, auditAnchors, clock } = deps;
  const chains = store.auditChains;

  return async (caller: Person, { chain, reason }: { chain: string; reason: string }): Promise<ChainHead> => {
    await authorize.operator(caller, 'audit.accept-restore');
    const found = await chains.head(chain);
    if (!found) throw new BrokerError('TENANT_NOT_FOUND', { detail: 'no such audit chain' });
    const anchor = await auditAnchors.find(chain);
    const anchored = anchor?.checkpoint;
    if (!anchor || !anchored || (await chains.hashAt(chain, anchored.seq))?.equals(anchored.hash)) {
      throw invalid('the chain is what Vault holds of it: there is no restore to accept');
    }
    const facts = {
      reason,
      restoredTo: found.seq,
      anchoredSeq: anchored.seq,
      anchoredHash: anchored.hash.toString('hex'),
      anchoredAt: anchored.at.toISOString(),
    };
    const target = chain === installationChain ? {} : { tenant: chain };
    await store.audit.append(auditRecord(clock.now(), caller, 'audit.accept-restore', 'ok', target, facts));
    const head = (await chains.heads()).find((each) => each.chain === chain);
    if (!head) throw new BrokerError('INTERNAL', { detail: 'a chain that was written has no end' });
    const { seq, hash, signed } = head;
    const checkpoint = await checkpointSigner.sign({ chain, seq, hash, at: clock.now() });
    if (!(await chains.addCheckpoint(checkpoint, signed?.seq ?? 0))) {
      throw new BrokerError('STORE_CONFLICT', { detail: 'the chain was signed at the same time' });
    }
    await auditAnchors.put(checkpoint, anchor.version);
    return { chain, seq, hash };
  };
}
