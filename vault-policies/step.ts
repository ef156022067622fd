import { isDeepStrictEqual } from 'node:util';
import { z } from 'zod';
import type { VaultConnection } from '../broker/vault/connection.ts';

/** What a step would do, and why. */
export interface Finding {
  readonly action: 'create' | 'change' | 'ok';
  readonly reason: string;
}

/** One thing that has to be in Vault. */
export interface Step {
  readonly name: string;
  /** Looks, and changes nothing. */
  inspect(): Promise<Finding>;
  /** Makes it so, whatever was there. */
  apply(): Promise<void>;
}

export const absent: Finding = { action: 'create', reason: 'is not there' };
export const fitting: Finding = { action: 'ok', reason: 'is as it should be' };

type Fields = Readonly<Record<string, unknown>>;

/** A configuration that is read and written at one path: as it should be when each field named is what it says. */
export function configurationStep(
  vault: VaultConnection,
  spec: {
    readonly name: string;
    readonly path: string;
    /** Looked up late: it may name what an earlier step makes. */
    readonly fields: () => Promise<Fields> | Fields;
    /** Written beside them, and never answered by Vault: whoever gives one wants it written. */
    readonly unreadable?: Fields;
  },
): Step {
  return {
    name: spec.name,
    async inspect() {
      const stored = await vault.find(spec.path, z.record(z.string(), z.unknown()));
      if (!stored) return absent;
      const found = compare(stored, await spec.fields());
      if (found.action !== 'ok' || !spec.unreadable) return found;
      return { action: 'change', reason: `${Object.keys(spec.unreadable).join(', ')} cannot be compared` };
    },
    apply: async () => {
      await vault.write(spec.path, { ...(await spec.fields()), ...spec.unreadable });
    },
  };
}

function compare(stored: Fields, wanted: Fields): Finding {
  const different = Object.keys(wanted).filter((field) => !isSame(stored[field], wanted[field]));
  return different.length === 0 ? fitting : { action: 'change', reason: `differs in ${different.join(', ')}` };
}

/** Vault writes an empty list as null or leaves it out. */
function isSame(stored: unknown, wanted: unknown): boolean {
  return isDeepStrictEqual(Array.isArray(wanted) ? (stored ?? []) : stored, wanted);
}
