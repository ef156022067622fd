/** Steps for what is mounted: secrets engines, logins, the root of the PKI. */
import { setTimeout as delay } from 'node:timers/promises';
import { z } from 'zod';
import { BrokerError } from '../broker/errors.ts';
import { checkpointKey } from '../broker/vault/audit-checkpoints.ts';
import type { VaultConnection } from '../broker/vault/connection.ts';
import { ensureTransitKey } from '../broker/vault/transit-key.ts';
import { vaultFailureOf } from '../broker/vault/vault-failure.ts';
import { rootTtl, type VaultLayout } from './layout.ts';
import { absent, fitting, type Step } from './step.ts';

const mount = z.object({
  type: z.string(),
  accessor: z.string(),
  options: z.record(z.string(), z.string()).nullish(),
  config: z.object({ max_lease_ttl: z.number() }),
});
const mounts = z.record(z.string(), mount);

interface MountSpec {
  readonly type: string;
  readonly path: string;
  readonly description: string;
  readonly options?: Readonly<Record<string, string>>;
  /** Seconds. */
  readonly maxLeaseTtl?: number;
}

/** `sys/mounts/PATH`. Throws CONFIG_INVALID where another engine has the path. */
export function engineStep(vault: VaultConnection, spec: MountSpec): Step {
  return {
    name: `${spec.type} engine ${spec.path}/`,
    async inspect() {
      const stored = (await vault.read('sys/mounts', mounts))[`${spec.path}/`];
      if (!stored) return absent;
      mustBe(spec, stored);
      const isShort = spec.maxLeaseTtl !== undefined && stored.config.max_lease_ttl < spec.maxLeaseTtl;
      return isShort ? { action: 'change', reason: 'its longest lease is too short' } : fitting;
    },
    async apply() {
      const { type, path, description, options, maxLeaseTtl } = spec;
      const config = maxLeaseTtl === undefined ? {} : { max_lease_ttl: `${maxLeaseTtl}s` };
      const isThere = `${path}/` in (await vault.read('sys/mounts', mounts));
      if (isThere) await vault.write(`sys/mounts/${path}/tune`, config);
      else await vault.write(`sys/mounts/${path}`, { type, description, options, config });
      if (type === 'kv') await untilReady(vault, path);
    },
  };
}

/** `sys/auth/PATH`. Throws CONFIG_INVALID where another login method has the path. */
export function loginStep(
  vault: VaultConnection,
  { type, path, description }: Pick<MountSpec, 'type' | 'path' | 'description'>,
): Step {
  return {
    name: `${type} login auth/${path}/`,
    async inspect() {
      const stored = (await vault.read('sys/auth', mounts))[`${path}/`];
      if (!stored) return absent;
      mustBe({ type, path }, stored);
      return fitting;
    },
    apply: async () => {
      await vault.write(`sys/auth/${path}`, { type, description });
    },
  };
}

/** Looks up the accessor that identity templates name a login's mount by. */
export async function loginAccessor(vault: VaultConnection, path: string): Promise<string> {
  const stored = (await vault.read('sys/auth', mounts))[`${path}/`];
  if (!stored) throw new BrokerError('NOT_FOUND', { detail: `auth/${path}/ is not mounted` });
  return stored.accessor;
}

/** A root certificate whose key is made in Vault and stays there. One that is there is never replaced. */
export function rootCertificateStep(vault: VaultConnection, { mounts, trustDomain }: VaultLayout): Step {
  return {
    name: `root certificate of ${mounts.pki}/`,
    async inspect() {
      const issuers = await vault.list(`${mounts.pki}/issuers`);
      return issuers.length === 0 ? absent : fitting;
    },
    apply: async () => {
      await vault.write(`${mounts.pki}/root/generate/internal`, {
        common_name: `${trustDomain} workloads`,
        key_type: 'ec',
        key_bits: 256,
        ttl: rootTtl,
        max_path_length: 0,
      });
    },
  };
}

/** `TRANSIT/keys/audit-checkpoint`, which signs the audit record; one that is there stays, and must be of that kind. */
export function checkpointKeyStep(vault: VaultConnection, transit: string): Step {
  const path = `${transit}/keys/${checkpointKey}`;
  return {
    name: `key ${path}`,
    inspect: async () => ((await vault.find(path, z.unknown())) === undefined ? absent : fitting),
    apply: () => ensureTransitKey(vault, path, { type: 'ecdsa-p256', derived: false }),
  };
}

function mustBe(spec: Pick<MountSpec, 'type' | 'path' | 'options'>, stored: z.infer<typeof mount>): void {
  const isOther = Object.entries(spec.options ?? {}).some(([option, value]) => stored.options?.[option] !== value);
  if (stored.type === spec.type && !isOther) return;
  const what = isOther ? `a ${stored.type} engine with other options` : `of the type ${stored.type}`;
  throw new BrokerError('CONFIG_INVALID', {
    detail: `${spec.path}/ is ${what}`,
    problems: [`${spec.path}/ in Vault is ${what}: name another mount, or move that one`],
  });
}

/** A new KV engine refuses everything with 400 for a moment while it upgrades itself to version 2. */
async function untilReady(vault: VaultConnection, path: string): Promise<void> {
  for (let tries = 1; ; tries++) {
    try {
      await vault.read(`${path}/config`, z.unknown());
      return;
    } catch (error) {
      if (vaultFailureOf(error)?.kind !== 'bad_request' || tries === 100) throw error;
      await delay(50);
    }
  }
}
