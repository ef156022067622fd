/**
 * The whole broker as a process of its own, for the tests that stop or kill it in the middle of a refresh: the
 * composition root of the product, on the clock of the practice Google, which the test tells. The test calls it over
 * Node's IPC channel (`held-brokers.ts`); it ends with the test.
 */
import { registerHooks } from 'node:module';
import type { RefreshStep } from './refresh-steps.ts';

/** What the test asks for. */
export type BrokerCall =
  | { readonly call: 'setClock'; readonly to: number }
  | { readonly call: 'holdAt'; readonly step: RefreshStep }
  | { readonly call: 'goOn' }
  | { readonly call: 'refreshDue' };

/** What it is told; `id` is that of the call. */
export type BrokerNews =
  | { readonly news: 'serves'; readonly grpcPort: number }
  | { readonly news: 'reached' }
  | { readonly news: 'done'; readonly id: number; readonly failure?: string };

const root = new URL('../../broker/broker.ts', import.meta.url).href;
const flows = new URL('../../broker/flow/flows.ts', import.meta.url).href;
const steps = new URL('./refresh-steps.ts', import.meta.url).href;

registerHooks({
  resolve(specifier, context, nextResolve) {
    const found = nextResolve(specifier, context);
    return context.parentURL === root && found.url === flows ? { ...found, url: steps } : found;
  },
});

// After the hook: these load the composition root.
const { startBroker } = await import('../../broker/broker.ts');
const { loadConfig } = await import('../../broker/config.ts');
const { createLog } = await import('../../broker/observability/log.ts');
const { goOn, holdAt } = await import('./refresh-steps.ts');

const { NOW = '', ...environment } = process.env;
let now = Number(NOW);
const tell = (news: BrokerNews) => process.send?.(news);

const broker = await startBroker(loadConfig(environment), {
  log: createLog({ level: 'warn', destination: process.stderr }),
  clock: { now: () => new Date(now) },
  identityClock: { now: () => new Date() },
  version: 'test',
  signal: new AbortController().signal,
});

async function answer(asked: BrokerCall): Promise<void> {
  switch (asked.call) {
    case 'setClock':
      now = asked.to;
      return;
    case 'holdAt':
      return holdAt(asked.step, () => tell({ news: 'reached' }));
    case 'goOn':
      return goOn();
    case 'refreshDue':
      await broker.refreshDue();
  }
}

process.on('message', ({ id, ...asked }: BrokerCall & { readonly id: number }) => {
  void answer(asked).then(
    () => tell({ news: 'done', id }),
    (error: unknown) => tell({ news: 'done', id, failure: String(error) }),
  );
});
process.on('disconnect', () => process.exit());
tell({ news: 'serves', grpcPort: broker.grpcPort });
