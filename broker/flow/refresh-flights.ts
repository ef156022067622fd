/**
 * The refreshes that run in this process, by channel: whoever wants the token of one takes part in the flight that there
 * is, be it the scheduler's or another reader's.
 */
import type { CachedToken } from '../ports.ts';

export interface RefreshFlights {
  /** The one that runs, if there is one. */
  of(channel: string): Promise<CachedToken> | undefined;
  /** Runs a refresh that others may take part in. */
  run(channel: string, refresh: () => Promise<CachedToken>): Promise<CachedToken>;
}

export function createRefreshFlights(): RefreshFlights {
  const flights = new Map<string, Promise<CachedToken>>();
  return {
    of: (channel) => flights.get(channel),
    run(channel, refresh) {
      const flight = refresh().finally(() => {
        if (flights.get(channel) === flight) flights.delete(channel);
      });
      flights.set(channel, flight);
      return flight;
    },
  };
}
