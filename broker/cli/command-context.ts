/** What the commands are given. */
import { type Command, Option } from 'commander';
import type { PrunableStretch } from '../domain/audit-prune.ts';
import type { RetentionKind } from '../domain/retention.ts';
import type { Secret } from '../domain/secret.ts';
import type { ApiClient } from './api-client.ts';
import type { Output, OutputFormat } from './output.ts';
import type { SecretSource } from './secret-input.ts';
import type { LoginWish, ProofWish } from './workload-logins.ts';

export interface CommandContext {
  readonly output: Output;
  /** Reads the settings and looks for an identity when a command calls the API, not before. */
  readonly api: () => ApiClient;
  readonly secretSource: SecretSource;
  readonly processes: Processes;
  readonly vault: VaultCommands;
  /** The broker's, and so the command's own. */
  readonly version: string;
  /** Fires at the first Ctrl-C, which then ends nothing by itself. */
  readonly interrupted: () => AbortSignal;
  /** Waits, in milliseconds. */
  readonly pause: (ms: number) => Promise<unknown>;
}

/** What main.ts runs. */
export interface Processes {
  /** Runs the broker until it is stopped. */
  readonly serve: () => Promise<void>;
  /** Brings the database to this version; answers which migrations were run and which role was given its rights. */
  readonly migrate: () => Promise<{ readonly migrations: readonly string[]; readonly grantedTo: string | undefined }>;
  readonly retention: {
    /** What would be deleted now. */
    readonly plan: () => Promise<
      readonly { readonly tenant: string; readonly kind: RetentionKind; readonly count: number }[]
    >;
    /** Deletes it, run by run, and answers how many things that were. */
    readonly run: (onRun: (soFar: number, total: number) => void) => Promise<number>;
  };
  /** Of the audit record. `before` is the last instant that is old enough; undefined where it is kept for ever. */
  readonly prune: {
    /** What would be deleted now: one stretch for each chain. */
    readonly plan: () => Promise<{ readonly before: Date | undefined; readonly due: readonly PrunableStretch[] }>;
    /** Deletes it, batch by batch, and answers which stretches that were. */
    readonly run: (
      onBatch: (soFar: number, total: number) => void,
    ) => Promise<{ readonly before: Date | undefined; readonly pruned: readonly PrunableStretch[] }>;
  };
}

/** Acts on Vault with the operator's own login; main.ts wires them to vault-policies/. */
export interface VaultCommands {
  readonly plan: () => Promise<readonly VaultStep[]>;
  readonly apply: (onStep: (step: VaultStep) => void) => Promise<readonly VaultStep[]>;
  readonly planLogin: (login: LoginWish) => Promise<readonly VaultStep[]>;
  readonly applyLogin: (login: LoginWish, onStep: (step: VaultStep) => void) => Promise<readonly VaultStep[]>;
  readonly addWorkload: (
    name: string,
    proof: ProofWish,
    cidrs: readonly string[],
  ) => Promise<{ readonly action: VaultStep['action']; readonly spiffeId: string }>;
  /** Destroys the key for good; does nothing where it is gone. */
  readonly destroyTenantKey: (tenant: string) => Promise<void>;
  /** Where the tenant's key is, for whoever destroys it by hand. */
  readonly tenantKeyPath: (tenant: string) => Promise<string>;
  readonly issueCredential: (role: string) => Promise<{ readonly roleId: string; readonly secretId: Secret<string> }>;
  /** The secret id is opened by the token, once and within so many seconds. */
  readonly issueWrappedCredential: (
    role: string,
    seconds: number,
  ) => Promise<{ readonly roleId: string; readonly wrappingToken: Secret<string> }>;
}

export interface VaultStep {
  readonly name: string;
  readonly action: 'create' | 'change' | 'ok';
  readonly reason: string;
}

/** Adds `-o table|json` to a command. */
export function withOutput(command: Command): Command {
  return command.addOption(
    new Option('-o, --output <format>', 'table for people, json for scripts')
      .choices(['table', 'json'])
      .default('table'),
  );
}

/** The option that `withOutput` adds. */
export interface OutputOption {
  readonly output: OutputFormat;
}

/** Collects an option that may be given several times. */
export function several(value: string, earlier: readonly string[] = []): readonly string[] {
  return [...earlier, value];
}
