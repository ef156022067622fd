import { z } from 'zod';
import { createBatches } from './batches.ts';
import type { VaultConnection } from './connection.ts';
import { VaultFailure, vaultFailureOf } from './vault-failure.ts';

/**
 * Has transit compute many items of one path in one request (`batch_input`). The answered function takes a path and an
 * item and answers the item's result; an item that Vault refuses throws a `VaultFailure` of the kind `bad_request`.
 *
 * Vault and OpenBao answer an error per item, and 400 where an item of decrypt or encrypt fails, unless
 * `partial_failure_response_code` says otherwise; where all of them fail they answer 400 all the same.
 *
 * @param common parameters that all items of a path share, from the path's key
 */
export function createTransitBatches<Item extends object, Result>(deps: {
  readonly vault: VaultConnection;
  readonly result: z.ZodType<Result>;
}): (path: string, item: Item, common?: Readonly<Record<string, unknown>>) => Promise<Result> {
  const { vault, result } = deps;
  const refused = z.object({ error: z.string().min(1) });
  const answer = z.object({ batch_results: z.array(z.union([refused, result])) });

  const compute = createBatches<Item, Result>(async (key, items) => {
    const [path = '', common = '{}'] = key.split(' ', 2);
    const body = { ...JSON.parse(common), batch_input: items, partial_failure_response_code: 200 };
    const { batch_results: results } = await vault.compute(path, body, answer);
    return results.map((each) => (isRefused(each) ? refusal(path, each.error) : each));
  });

  const isRefused = (each: Result | { error: string }): each is { error: string } => refused.safeParse(each).success;

  return (path, item, common = {}) => compute(`${path} ${JSON.stringify(common)}`, item);
}

function refusal(path: string, problem: string): VaultFailure {
  return new VaultFailure('bad_request', `an item of ${path} was refused`, { status: 400, problems: [problem] });
}

/** Whether Vault refused the item itself, by itself or with all others of its batch. */
export function isRefusedItem(error: unknown): boolean {
  return vaultFailureOf(error)?.kind === 'bad_request';
}
