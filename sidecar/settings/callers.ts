/** Settings of which programs on this machine may ask for tokens, and how often. */
import * as z from 'zod';
import { DEFAULT_CALLERS, parseAllowList } from '../callers/allow-list.ts';

export interface CallersConfig {
  /** As `parseAllowList` reads it; checked. */
  readonly callers: string;
  /** Of one caller, all connections together; five seconds' worth may come at once. */
  readonly requestsPerSecond: number;
}

export const callersSettings = z.strictObject({
  SIDECAR_CALLERS: z
    .string()
    .superRefine((text, context) => {
      try {
        parseAllowList(text, 0);
      } catch (error) {
        context.addIssue(`is malformed: ${error instanceof Error ? error.message : String(error)}`);
      }
    })
    .prefault(DEFAULT_CALLERS)
    .describe('Which local programs may have which channel’s tokens: CHANNEL=CALLER|CALLER,…; see below.'),
  SIDECAR_REQUESTS_PER_SECOND: z
    .string()
    .regex(/^[1-9]\d{0,6}$/, 'is not a number from 1 to 9999999')
    .transform(Number)
    .prefault('200')
    .describe('How many requests a caller may make in a second, over a while; who makes more gets 429.'),
});

/** What the settings say together. */
export function callersOf(set: z.output<typeof callersSettings>): CallersConfig {
  return { callers: set.SIDECAR_CALLERS, requestsPerSecond: set.SIDECAR_REQUESTS_PER_SECOND };
}
