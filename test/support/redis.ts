import { type Redis, type RedisOptions, startRedis } from '../../stack/redis.ts';
import { atEnd, type Scope, useFolder } from './scope.ts';

/**
 * Starts a Redis that nobody else uses and that can be stopped, started again and paused. One of its own for each
 * scope: it is up in a few milliseconds, and publish/subscribe knows no databases.
 */
export async function useRedis(scope: Scope, options: Pick<RedisOptions, 'password'> = {}): Promise<Redis> {
  const redis = await startRedis({ ...options, directory: await useFolder(scope), env: process.env });
  atEnd(scope, redis.stop);
  return redis;
}
