/**
 * The spool of received refresh tokens: one encrypted file for each, written before Vault and PostgreSQL are asked to
 * take the token, and removed when they have. Whatever happens to them, or to this process, in between, the token is
 * there when it starts again.
 *
 * Two processes may share a directory: storing a token is safe to repeat, and a file that another has removed is done.
 */
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { RandomBytes } from '../domain/identifier.ts';
import { BrokerError } from '../errors.ts';
import type { Clock, DataKeys, RefreshTokenSpool, SpoolEntry, SpooledToken } from '../ports.ts';
import { openDirectory, writeDurably } from './durable-file.ts';
import { openToken, readSealedToken, sealToken } from './sealed-token.ts';

export interface SpoolLog {
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

/** Opens the spool in a directory, which is made where missing, with what an earlier process has left in it. */
export async function openRefreshTokenSpool(deps: {
  readonly directory: string;
  readonly dataKeys: DataKeys;
  readonly clock: Clock;
  readonly random: RandomBytes;
  readonly log: SpoolLog;
  /** Told when a token was left in the spool, so that somebody comes for it soon. */
  readonly onWaiting: () => void;
}): Promise<RefreshTokenSpool> {
  const { directory, dataKeys, clock, random, log, onWaiting } = deps;
  /** name of the file → entry; in the order in which they came */
  const waiting = new Map<string, SpoolEntry>();

  function entryOf(name: string, channel: string): SpoolEntry {
    const entry: SpoolEntry = {
      channel,
      open: () => openFile(name),
      async remove() {
        waiting.delete(name);
        await rm(join(directory, name), { force: true });
      },
      leave() {
        waiting.set(name, entry);
        onWaiting();
      },
    };
    return entry;
  }

  async function openFile(name: string): Promise<SpooledToken | undefined> {
    const text = await readUnlessGone(join(directory, name));
    if (text === undefined) {
      waiting.delete(name);
      return undefined;
    }
    const file = readSealedToken(text);
    if (!file) throw new BrokerError('INTERNAL', { detail: `${name} in the spool has not the form of a token` });
    const key = await dataKeys.unwrap(file.tenant, file.wrappedKey);
    try {
      return openToken(file, key);
    } catch {
      // The cause may quote what was decrypted.
      throw new BrokerError('INTERNAL', { detail: `${name} in the spool does not open` });
    }
  }

  for (const name of await openDirectory(directory)) {
    const text = await readUnlessGone(join(directory, name));
    if (text === undefined) continue;
    const file = readSealedToken(text);
    if (file) waiting.set(name, entryOf(name, file.channel));
    else log.error({ directory, name }, 'a file in the spool of refresh tokens is not one of ours; it is left alone');
  }
  if (waiting.size > 0) log.warn({ tokens: waiting.size }, 'received refresh tokens wait in the spool to be stored');

  return {
    async prepare(tenant) {
      const dataKey = await dataKeys.current(tenant);
      return {
        async keep(token) {
          const name = `${clock.now().getTime()}-${random(12).toString('hex')}`;
          try {
            await writeDurably(directory, name, sealToken(token, dataKey, random));
            return entryOf(name, token.channel);
          } catch (error) {
            const { code } = error as NodeJS.ErrnoException;
            log.error({ directory, code }, 'the spool of refresh tokens cannot be written');
            return undefined;
          }
        },
      };
    },
    waiting: () => [...waiting.values()],
  };
}

async function readUnlessGone(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
