/**
 * Moves a tenant's ciphertexts to the newest version of its key. Vault rewraps the next batch while PostgreSQL writes the
 * last one; no plaintext leaves Vault. What has been done is seen from the rows alone, so it may be cut off anywhere.
 */
import type { CiphertextKind, Clock, Store, StoredCiphertext, TenantKeys } from '../ports.ts';

export interface Rewrapped {
  readonly moved: number;
  /** `grant ch_…` and what Vault said of it. */
  readonly failed: readonly { readonly row: string; readonly problem: string }[];
}

/** Rows in one request to Vault and one statement of PostgreSQL. OpenBao refuses JSON of a thousand strings: 249 rows. */
export const rewrapBatchRows = 200;

/**
 * Batches on their way through Vault, and through PostgreSQL: each goes on with one while we deal with the other. Vault
 * has one request at a time all the same, and takes the next, which is ready, as soon as it has answered.
 */
const mostAtOnce = 2;

interface Batch {
  readonly rows: readonly StoredCiphertext[];
  readonly answer: ReturnType<TenantKeys['rewrapBatch']>;
}

const kinds: readonly CiphertextKind[] = ['grant', 'received', 'verifier'];

export function createRewrapCiphertexts(deps: {
  readonly store: Pick<Store, 'ciphertexts'>;
  readonly keys: Pick<TenantKeys, 'rewrapBatch'>;
  readonly clock: Clock;
  readonly sleep: (ms: number, signal: AbortSignal) => Promise<void>;
  /** Of this replica, for all tenants together; undefined for no limit. */
  readonly rowsPerSecond: number | undefined;
  readonly onRewrapped: (rows: number) => void;
}) {
  const { store, keys, clock, sleep, rowsPerSecond, onRewrapped } = deps;
  const limit = Math.min(rewrapBatchRows, rowsPerSecond ?? rewrapBatchRows);
  let freeAt = 0;

  async function keepRate(rows: number, signal: AbortSignal): Promise<void> {
    if (rowsPerSecond === undefined) return;
    const now = clock.now().getTime();
    const startsAt = Math.max(now, freeAt);
    freeAt = startsAt + (rows * 1_000) / rowsPerSecond;
    if (startsAt > now) await sleep(startsAt - now, signal);
  }

  /** One pass. `beforeBatch` may throw to end it (the claim is lost). */
  return async (
    tenant: string,
    version: number,
    { beforeBatch, signal }: { readonly beforeBatch: () => Promise<void>; readonly signal: AbortSignal },
  ): Promise<Rewrapped> => {
    let moved = 0;
    const failed: { row: string; problem: string }[] = [];
    for (const kind of kinds) {
      const writing: Promise<void>[] = [];
      const write = async ({ rows, answer }: Batch): Promise<void> => {
        const results = await answer;
        if (writing.length === mostAtOnce) await writing.shift();
        const changes = rows.flatMap(({ id, ciphertext: from }, index) => {
          const result = results[index];
          if (result && 'ciphertext' in result) return [{ id, from, to: result.ciphertext }];
          failed.push({ row: `${kind} ${id}`, problem: result?.problem ?? 'no answer' });
          return [];
        });
        const written = store.ciphertexts.replace(kind, changes).then((rowsMoved) => {
          moved += rowsMoved;
          onRewrapped(rowsMoved);
        });
        unheard(written);
        writing.push(written);
      };
      let atVault: Batch | undefined;
      for await (const rows of ahead((after) => store.ciphertexts.below(tenant, kind, version, after, limit))) {
        signal.throwIfAborted();
        await beforeBatch();
        await keepRate(rows.length, signal);
        const answer = keys.rewrapBatch(tenant, rows);
        unheard(answer);
        if (atVault) await write(atVault);
        atVault = { rows, answer };
      }
      if (atVault) await write(atVault);
      await Promise.all(writing);
    }
    return { moved, failed };
  };
}

/** Reads batch by batch, each while the one before is dealt with. */
async function* ahead(
  read: (after: StoredCiphertext | undefined) => Promise<readonly StoredCiphertext[]>,
): AsyncGenerator<readonly StoredCiphertext[]> {
  for (let next = read(undefined); ; ) {
    const rows = await next;
    if (rows.length === 0) return;
    next = read(rows.at(-1));
    unheard(next);
    yield rows;
  }
}

/** It is heard where it is awaited; until then its failure must not end the process. */
function unheard(promise: Promise<unknown>): void {
  promise.catch(() => undefined);
}
