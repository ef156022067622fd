/** What the commands that act on the database are told: `broker migrate` and its kin. */
import * as z from 'zod';
import { brokerSettings } from './broker-settings.ts';

const { store, operations } = brokerSettings.shape;

export const databaseSettings = z.object({ store, operations: operations.pick({ logLevel: true }) });
