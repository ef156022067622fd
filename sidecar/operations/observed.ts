/** Parts of the sidecar with their outcomes counted: each does what the part does. */
import type { BrokerClient } from '../broker-client.ts';
import { SidecarError } from '../errors.ts';
import { IdentityError } from '../identity-error.ts';
import type { Metrics } from './metrics.ts';

/** Tells how each run of an identity step ended: `ok` or the code of its error. */
export function observedStep<T>(step: () => Promise<T>, ended: (result: string) => void): () => Promise<T> {
  return async () => {
    try {
      const value = await step();
      ended('ok');
      return value;
    } catch (error) {
      ended(error instanceof IdentityError ? error.code : 'other');
      throw error;
    }
  };
}

/** Counts and times the calls for tokens. */
export function observedBroker(broker: BrokerClient, metrics: Metrics): BrokerClient {
  return {
    ...broker,
    async getAccessToken(request) {
      const from = performance.now();
      const ended = (code: string) => metrics.brokerAnswered(code, (performance.now() - from) / 1_000);
      try {
        const token = await broker.getAccessToken(request);
        ended('ok');
        return token;
      } catch (error) {
        ended(error instanceof SidecarError ? error.code : 'other');
        throw error;
      }
    },
  };
}
