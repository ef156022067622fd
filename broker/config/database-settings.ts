/** What the commands that act on the database are told: `broker migrate`, `broker retention`, `broker audit prune`. */
import * as z from 'zod';
import { brokerSettings } from './broker-settings.ts';

const { store, operations, retention } = brokerSettings.shape;

export const databaseSettings = z.object({ store, retention, operations: operations.pick({ logLevel: true }) });
