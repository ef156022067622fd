/**
 * The secrets in the credential files: one for each channel, made anew at each start. Whoever presents it has read the
 * file, and may have the channel's tokens and no other's.
 */
import { hash, randomBytes, timingSafeEqual } from 'node:crypto';

export interface LocalSecrets {
  /** The secret of a channel, made when it is first asked for. */
  of(channelId: string): string;
  /** Whether this is the channel's; takes the same time whatever is wrong with it. */
  matches(channelId: string, presented: string): boolean;
}

export function createLocalSecrets(random: (bytes: number) => Buffer = randomBytes): LocalSecrets {
  const secrets = new Map<string, string>();
  // Compared in place of one that does not exist, so that an unknown channel answers no sooner.
  const nobody = random(32).toString('base64url');
  return {
    of(channelId) {
      const known = secrets.get(channelId);
      if (known !== undefined) return known;
      const secret = random(32).toString('base64url');
      secrets.set(channelId, secret);
      return secret;
    },
    matches(channelId, presented) {
      const secret = secrets.get(channelId);
      // Hashed first: the lengths are the same then, and the comparison tells nothing of where they differ.
      const same = timingSafeEqual(digest(presented), digest(secret ?? nobody));
      return same && secret !== undefined;
    },
  };
}

function digest(text: string): Buffer {
  return hash('sha256', text, 'buffer');
}
