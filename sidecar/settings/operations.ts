/** Settings of what operators see of the sidecar. */
import * as z from 'zod';
import type { LoopbackAddress } from '../endpoints/listen.ts';
import { loopback } from './formats.ts';

export interface OperationsConfig {
  /** `/livez` and `/readyz`. */
  readonly operationsListen: LoopbackAddress;
}

export const operationsSettings = z.strictObject({
  SIDECAR_OPERATIONS_LISTEN: loopback
    .prefault('127.0.0.1:7071')
    .describe('Where /livez and /readyz are served; a loopback address.'),
});

/** What the settings say together. */
export function operationsOf(set: z.output<typeof operationsSettings>): OperationsConfig {
  return { operationsListen: set.SIDECAR_OPERATIONS_LISTEN };
}
