import { BrokerError } from '../errors.ts';

const pattern = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;

/**
 * Answers the name where it may stand in a Vault path: lower-case letters, digits and inner hyphens, at most 63. No
 * slash or dot can lead to another path, and no `*` can widen a policy or a certificate's allowed name. Throws
 * INVALID_REQUEST.
 */
export function vaultName(name: string): string {
  if (pattern.test(name)) return name;
  throw new BrokerError('INVALID_REQUEST', {
    problems: ['a name has 1 to 63 lower-case letters, digits and hyphens, and no hyphen at either end'],
  });
}
