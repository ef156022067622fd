/** Settings of what operators see of the sidecar and have it do. */
import * as z from 'zod';
import type { ListenAddress } from '../endpoints/listen.ts';
import { address, filePath } from './formats.ts';

export interface OperationsConfig {
  /** `/livez`, `/readyz`, `/startupz` and `/metrics`. */
  readonly operationsListen: ListenAddress;
  /** The Unix socket of admin actions; undefined where there is none. */
  readonly adminSocket: string | undefined;
}

export const operationsSettings = z.strictObject({
  SIDECAR_OPERATIONS_LISTEN: address
    .prefault('127.0.0.1:7071')
    .describe(
      'Where /livez, /readyz, /startupz and /metrics are served; no token is, so it may be an address that probes from elsewhere reach.',
    ),
  SIDECAR_ADMIN_SOCKET: filePath
    .optional()
    .describe('The Unix socket by which `sidecar admin` acts on the running sidecar; only its owner may use it.'),
});

/** What the settings say together. */
export function operationsOf(set: z.output<typeof operationsSettings>): OperationsConfig {
  return { operationsListen: set.SIDECAR_OPERATIONS_LISTEN, adminSocket: set.SIDECAR_ADMIN_SOCKET };
}
