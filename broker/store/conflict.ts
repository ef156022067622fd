import { BrokerError } from '../errors.ts';

/** Throws STORE_CONFLICT where a compare-and-set changed nothing; the transaction around it is undone by that. */
export function expectChanged(
  result: { readonly numUpdatedRows: bigint } | { readonly numDeletedRows: bigint },
  detail: string,
): void {
  const changed = 'numUpdatedRows' in result ? result.numUpdatedRows : result.numDeletedRows;
  if (changed === 0n) throw new BrokerError('STORE_CONFLICT', { detail });
}
