import { BrokerError } from '../errors.ts';

/** Throws STORE_CONFLICT where a compare-and-set changed nothing; the transaction around it is undone by that. */
export function expectChanged(result: { readonly numUpdatedRows: bigint }, detail: string): void {
  if (result.numUpdatedRows === 0n) throw new BrokerError('STORE_CONFLICT', { detail });
}
