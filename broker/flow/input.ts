/** Checks what people give to the flows; throws INVALID_REQUEST naming the field and the rule. */
import { namePattern } from '../domain/identifier.ts';
import { BrokerError } from '../errors.ts';

/** Names become parts of Vault paths and key names. */
export function checkName(field: string, name: string): void {
  if (namePattern.test(name)) return;
  throw invalid(
    `${field}: use 1 to 40 lower-case letters, digits and hyphens, starting with a letter and not ending with a hyphen`,
  );
}

/** `user:SUBJECT` or `group:NAME`. */
export function checkPrincipals(field: string, principals: readonly string[]): void {
  for (const principal of principals) {
    if (/^(?:user|group):\S{1,200}$/.test(principal)) continue;
    throw invalid(`${field}: write user:SUBJECT or group:NAME, not ${JSON.stringify(principal.slice(0, 60))}`);
  }
}

export function invalid(problem: string): BrokerError {
  return new BrokerError('INVALID_REQUEST', { detail: problem, problems: [problem] });
}
