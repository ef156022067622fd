/**
 * Has Vault sign the ends of the audit chains, and keeps the newest of each in Vault as its anchor. An anchor is never lowered:
 * where the database has fewer records, or others, than Vault holds signed, somebody changed it or put an old one back. That is
 * told and goes on being told; tokens are served all the same.
 */
import type { ChainHead } from '../domain/audit-chain.ts';
import { asBrokerError, BrokerError } from '../errors.ts';
import type { Anchor, AuditAnchors, AuditChains, CheckpointSigner, Clock, UnsignedChain } from '../ports.ts';

export interface AuditCheckpointer {
  /** Signs every chain that is due; answers how many were signed. */
  runOnce(): Promise<number>;
  start(): void;
  stop(): Promise<void>;
  /** Throws AUDIT_CHAIN_BROKEN where a chain is not what Vault holds of it. */
  check(): Promise<void>;
}

export interface AuditCheckpointerDeps {
  readonly chains: AuditChains;
  readonly signer: CheckpointSigner;
  readonly anchors: AuditAnchors;
  /** Of the signatures. */
  readonly clock: Clock;
  /** A chain is due with so many new records, or with any once so much time has passed. */
  readonly afterRecords: number;
  readonly afterMs: number;
  /** Told at each look, so that a metric has every chain. */
  readonly onChain: (chain: string, broken: boolean) => void;
  readonly onBroken: (found: { readonly chain: string; readonly seq: number; readonly anchored: number }) => void;
  readonly onFault: (error: unknown) => void;
  /** Waits; ends early when the signal fires. */
  readonly sleep: (ms: number, signal: AbortSignal) => Promise<void>;
}

const lookEveryMs = 5_000;

export function createAuditCheckpointer(deps: AuditCheckpointerDeps): AuditCheckpointer {
  const { chains, signer, anchors, clock, afterRecords, afterMs, onChain, onBroken, onFault, sleep } = deps;
  const stopping = new AbortController();
  const broken = new Set<string>();
  /** Chains whose anchor was compared since the start: an old database is found although nothing new is written. */
  const compared = new Set<string>();
  let loop: Promise<void> | undefined;
  let newest: Promise<unknown> = Promise.resolve();

  /** One after the other. */
  function runOnce(): Promise<number> {
    const run = newest.then(signDue, signDue);
    newest = run;
    return run;
  }

  async function signDue(): Promise<number> {
    let signed = 0;
    for (const head of await chains.heads()) {
      if (stopping.signal.aborted) break;
      if (!isDue(head) && compared.has(head.chain) && !broken.has(head.chain)) continue;
      // One that cannot be signed must not hold back the others.
      await look(head).then((did) => {
        if (did) signed++;
      }, onFault);
    }
    return signed;
  }

  function isDue({ seq, signed }: UnsignedChain): boolean {
    const behind = seq - (signed?.seq ?? 0);
    if (behind <= 0) return false;
    return !signed || behind >= afterRecords || clock.now().getTime() - signed.at.getTime() >= afterMs;
  }

  async function look(head: UnsignedChain): Promise<boolean> {
    const anchor = await anchors.find(head.chain);
    const fits = await agrees(head, anchor);
    if (!fits && !broken.has(head.chain)) {
      onBroken({ chain: head.chain, seq: head.seq, anchored: anchor?.checkpoint.seq ?? 0 });
    }
    if (fits) broken.delete(head.chain);
    else broken.add(head.chain);
    onChain(head.chain, !fits);
    compared.add(head.chain);
    return fits && isDue(head) ? sign(head, anchor) : false;
  }

  /** Anchors first: whoever dies in between leaves a chain that is due, and a signature that the next one finds in Vault. */
  async function sign({ chain, seq, hash, signed }: UnsignedChain, anchor: Anchor | undefined): Promise<boolean> {
    const after = signed?.seq ?? 0;
    if (anchor?.checkpoint.seq === seq) return chains.addCheckpoint(anchor.checkpoint, after);
    // The head was read before another broker anchored more.
    if (anchor && anchor.checkpoint.seq > seq) return false;
    const checkpoint = await signer.sign({ chain, seq, hash, at: clock.now() });
    try {
      await anchors.put(checkpoint, anchor?.version ?? 0);
    } catch (error) {
      if (asBrokerError(error).code === 'STORE_CONFLICT') return false;
      throw error;
    }
    return chains.addCheckpoint(checkpoint, after);
  }

  /** Whether the chain holds what was anchored. */
  async function agrees(head: ChainHead, anchor: Anchor | undefined): Promise<boolean> {
    if (!anchor) return true;
    const { seq, hash } = anchor.checkpoint;
    if (seq > head.seq) return isBehindOnly(head.chain, anchor);
    const stored = seq === head.seq ? head.hash : await chains.hashAt(head.chain, seq);
    return stored?.equals(hash) ?? false;
  }

  /** The head may have been read before another broker wrote and anchored more. */
  async function isBehindOnly(chain: string, { checkpoint }: Anchor): Promise<boolean> {
    return (await chains.hashAt(chain, checkpoint.seq))?.equals(checkpoint.hash) ?? false;
  }

  async function run(): Promise<void> {
    while (!stopping.signal.aborted) {
      await runOnce().catch(onFault);
      await sleep(Math.min(afterMs, lookEveryMs), stopping.signal);
    }
  }

  return {
    runOnce,
    start() {
      loop ??= run();
    },
    async stop() {
      stopping.abort();
      await loop;
    },
    async check() {
      if (broken.size === 0) return;
      throw new BrokerError('AUDIT_CHAIN_BROKEN', { detail: `chains: ${[...broken].map((c) => c || 'installation')}` });
    },
  };
}
