import { createHash } from 'node:crypto';
import type { BrokerDeps } from '../../broker/broker.ts';
import type { PracticeGoogle } from '../fake-google/server.ts';

/**
 * What a broker needs beside the clock so that a run does not depend on the real time: a pause is a move of the clock, and
 * what is left to chance depends on the instant alone, in whatever order refreshes end.
 */
export function simulatedTime(google: PracticeGoogle): Required<Pick<BrokerDeps, 'randomFraction' | 'pause'>> {
  return {
    randomFraction: () => createHash('sha256').update(String(google.now())).digest().readUInt32BE() / 2 ** 32,
    async pause(ms) {
      const until = google.now() + ms;
      // Others may have moved it, by their own pause.
      await new Promise(setImmediate);
      if (google.now() < until) google.setClock(until);
    },
  };
}
