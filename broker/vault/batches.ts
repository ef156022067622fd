import { BrokerError } from '../errors.ts';

/**
 * The most items of one request: a few milliseconds of Vault's time. OpenBao refuses JSON with more than a thousand
 * strings, names of fields included: 249 items of two fields.
 */
export const mostItems = 200;

/** Sends items as one request; answers a result for each, in the same order. An `Error` fails that one item. */
export type SendBatch<Item, Result> = (key: string, items: readonly Item[]) => Promise<readonly (Result | Error)[]>;

interface Waiting<Item, Result> {
  readonly item: Item;
  readonly resolve: (result: Result) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Collects calls for the same key into one request (`batch_input` of transit), so that a batch of refreshes costs Vault
 * a few requests. A call is sent at the end of the turn it was made in; those that come while a request of the
 * key runs are sent together when it ends, or as soon as there are `most` of them. Nobody waits for a timer, so a call
 * that comes alone takes no longer than without.
 *
 * A failure of the whole request fails its items; one bad item fails only itself.
 */
export function createBatches<Item, Result>(
  send: SendBatch<Item, Result>,
  most = mostItems,
): (key: string, item: Item) => Promise<Result> {
  const queues = new Map<string, { waiting: Waiting<Item, Result>[]; running: number; planned: boolean }>();

  function sendWaiting(key: string): void {
    const queue = queues.get(key);
    if (!queue) return;
    while (queue.waiting.length >= most || (queue.waiting.length > 0 && queue.running === 0)) {
      const batch = queue.waiting.splice(0, most);
      queue.running += 1;
      void run(key, batch).finally(() => {
        queue.running -= 1;
        if (queue.waiting.length > 0) sendWaiting(key);
        else if (queue.running === 0 && !queue.planned) queues.delete(key);
      });
    }
  }

  async function run(key: string, batch: readonly Waiting<Item, Result>[]): Promise<void> {
    try {
      const results = await send(
        key,
        batch.map(({ item }) => item),
      );
      if (results.length !== batch.length) {
        throw new BrokerError('VAULT_UNAVAILABLE', { detail: `${results.length} results for ${batch.length} items` });
      }
      for (const [index, { resolve, reject }] of batch.entries()) {
        const result = results[index] as Result | Error;
        if (result instanceof Error) reject(result);
        else resolve(result);
      }
    } catch (error) {
      for (const { reject } of batch) reject(error);
    }
  }

  return (key, item) =>
    new Promise<Result>((resolve, reject) => {
      const queue = queues.get(key) ?? { waiting: [], running: 0, planned: false };
      queues.set(key, queue);
      queue.waiting.push({ item, resolve, reject });
      if (queue.planned) return;
      queue.planned = true;
      setImmediate(() => {
        queue.planned = false;
        sendWaiting(key);
      });
    });
}
