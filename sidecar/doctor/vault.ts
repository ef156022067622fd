/** The way to a certificate: Vault itself, its clock, the login, the PKI role. Each step needs the one before. */
import * as z from 'zod';
import { IdentityError } from '../identity-error.ts';
import { reasonOf } from '../log.ts';
import type { WorkloadSvid } from '../svid-issuer.ts';
import type { VaultRequest } from '../vault/request.ts';
import { examineClock } from './clock.ts';
import { type Finding, skipped, told, trap, well } from './finding.ts';

export interface VaultExamination {
  readonly address: URL;
  /** Without a namespace: health is told outside of them. */
  readonly vault: VaultRequest;
  /** Makes a certificate; undefined where that would use up something that is good once. */
  readonly issue: (() => Promise<WorkloadSvid>) | undefined;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

const HEALTH = 'sys/health?standbyok=true&perfstandbyok=true&sealedcode=200&uninitcode=200&drsecondarycode=200';
const health = z.object({
  initialized: z.boolean(),
  sealed: z.boolean(),
  server_time_utc: z.number(),
  version: z.string(),
});

/** Answers what was found, and the certificate where one was made: it is proof for the broker. */
export async function examineVault(
  examination: VaultExamination,
): Promise<{ readonly findings: readonly Finding[]; readonly svid: WorkloadSvid | undefined }> {
  const { address, issue } = examination;
  const reached = await reach(examination);
  const clear = address.protocol === 'http:' && !/^(?:127\.|\[::1\]$|localhost$)/.test(address.hostname);
  const findings = [...reached, ...(clear ? [trap('VAULT_IN_CLEAR', `VAULT_ADDR is ${address.origin}.`)] : [])];
  if (reached.some(({ level, code }) => level === 'failure' && code !== 'CLOCK_DIFFERS'))
    return { findings: [...findings, skipped('CERTIFICATE', 'No certificate was tried.')], svid: undefined };
  if (!issue) {
    const what = 'No certificate was tried: that would use up a login.';
    return { findings: [...findings, skipped('CERTIFICATE', what)], svid: undefined };
  }
  try {
    const svid = await issue();
    const what = `Vault signs ${svid.spiffeId.uri}, until ${svid.notAfter.toISOString()}.`;
    return { findings: [...findings, well('CERTIFICATE', what)], svid };
  } catch (error) {
    return { findings: [...findings, failureOf(error)], svid: undefined };
  }
}

async function reach({ address, vault, now }: VaultExamination): Promise<readonly Finding[]> {
  try {
    const { status, text } = await vault({ method: 'GET', path: HEALTH });
    const state = health.safeParse(jsonOf(text)).data;
    if (status >= 400 || !state)
      return [told('ANSWER_NOT_UNDERSTOOD', `what answers at ${address.origin} is not Vault`)];
    if (!state.initialized) return [told('VAULT_SEALED', 'vault has not been initialized')];
    if (state.sealed) return [told('VAULT_SEALED', 'vault is sealed')];
    const clock = examineClock('Vault', state.server_time_utc * 1_000, now());
    return [well('VAULT', `Vault ${state.version} answers at ${address.origin}, unsealed.`), ...clock];
  } catch (error) {
    return [failureOf(error)];
  }
}

function failureOf(error: unknown): Finding {
  if (error instanceof IdentityError) return told(error.code, reasonOf(error), error.next);
  return told('ANSWER_NOT_UNDERSTOOD', reasonOf(error));
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
