import type { Secret } from '../domain/secret.ts';
import type { Clock, DataKey, DataKeys, TenantKeys } from '../ports.ts';

const lifeMs = 24 * 60 * 60 * 1000;
const mostUnwrapped = 1_000;

/** Keeps tenants' data keys in memory; however many ask for one at once, Vault is asked once. */
export function createDataKeys({
  keys,
  clock,
}: {
  readonly keys: Pick<TenantKeys, 'createDataKey' | 'unwrapDataKey'>;
  readonly clock: Clock;
}): DataKeys {
  const own = new Map<string, { readonly dataKey: Promise<DataKey>; readonly endsAt: number }>();
  /** By tenant and wrapped key, the longest unused first. */
  const unwrapped = new Map<string, Promise<Secret<Buffer>>>();

  function remember(name: string, key: Promise<Secret<Buffer>>): void {
    unwrapped.delete(name);
    unwrapped.set(name, key);
    const [oldest] = unwrapped.keys();
    if (unwrapped.size > mostUnwrapped && oldest !== undefined) unwrapped.delete(oldest);
  }

  async function create(tenant: string): Promise<DataKey> {
    const dataKey = await keys.createDataKey(tenant);
    remember(nameOf(tenant, dataKey.wrapped), Promise.resolve(dataKey.key));
    return dataKey;
  }

  return {
    current(tenant) {
      const known = own.get(tenant);
      const now = clock.now().getTime();
      if (known && now < known.endsAt) return known.dataKey;
      const created = { dataKey: create(tenant), endsAt: now + lifeMs };
      own.set(tenant, created);
      created.dataKey.catch(() => {
        if (own.get(tenant) === created) own.delete(tenant);
      });
      return created.dataKey;
    },

    keyVersionIs(tenant, version) {
      const known = own.get(tenant);
      void known?.dataKey.then(
        ({ wrapped }) => {
          if (keyVersionOf(wrapped) < version && own.get(tenant) === known) own.delete(tenant);
        },
        () => undefined,
      );
    },

    unwrap(tenant, wrapped) {
      const name = nameOf(tenant, wrapped);
      const known = unwrapped.get(name);
      const key = known ?? keys.unwrapDataKey(tenant, wrapped);
      remember(name, key);
      if (!known) {
        key.catch(() => {
          if (unwrapped.get(name) === key) unwrapped.delete(name);
        });
      }
      return key;
    },

    forget(tenant) {
      own.delete(tenant);
      for (const name of unwrapped.keys()) if (name.startsWith(nameOf(tenant, ''))) unwrapped.delete(name);
    },
  };
}

function keyVersionOf(wrapped: string): number {
  return Number(/^vault:v(\d+):/.exec(wrapped)?.[1]);
}

/** Holds the tenant too: a key unwrapped for one must not open anything for another. */
function nameOf(tenant: string, wrapped: string): string {
  return `${tenant} ${wrapped}`;
}
