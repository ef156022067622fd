// A process with servers that does nothing to stop them, for the test that ends it.
import { startPostgres } from '../../stack/postgres.ts';
import { startRedis } from '../../stack/redis.ts';
import { startVault } from '../../stack/vault.ts';

const options = { directory: process.env.LOG_FOLDER ?? '', env: process.env };
const [vault, redis, postgres] = await Promise.all([
  startVault(options),
  startRedis(options),
  startPostgres({ log: () => {} }),
]);
const urls = [vault.address, redis.url, postgres.url('postgres')];
process.stdout.write(`${JSON.stringify(urls.map((url) => Number(new URL(url).port)))}\n`);
