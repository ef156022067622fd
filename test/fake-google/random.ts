import { randomBytes } from 'node:crypto';

/** Gives `bytes` random bytes; a test may inject a repeatable source. */
export type RandomSource = (bytes: number) => Buffer;

/** Names and secrets in the shapes Google gives them. */
export interface RandomNames {
  /** Authorization code, at most 256 bytes. */
  code(): string;
  /** Access token, `ya29.…`, at most 2048 bytes. */
  accessToken(): string;
  /** Refresh token, `1//…`, at most 512 bytes; its first 16 characters tell tokens apart (RISC `prefix`). */
  refreshToken(): string;
  /** Subject: 21 decimal digits. */
  subject(): string;
  videoId(): string;
  /** Name of anything that has no shape of its own: a consent in progress, an upload, a `jti`. */
  identifier(): string;
  /** A number in [0, 1), for faults asked for by rate. */
  fraction(): number;
}

/** Creates the namer over `random` (default: the operating system's). */
export function createRandomNames(random: RandomSource = randomBytes): RandomNames {
  const text = (bytes: number) => random(bytes).toString('base64url');
  return {
    code: () => `4/0A${text(54)}`,
    accessToken: () => `ya29.a0A${text(150)}`,
    refreshToken: () => `1//0${text(72)}`,
    subject: () => `1${(BigInt(`0x${random(12).toString('hex')}`) % 10n ** 20n).toString().padStart(20, '0')}`,
    videoId: () => text(8).slice(0, 11),
    identifier: () => text(16),
    fraction: () => random(4).readUInt32BE() / 2 ** 32,
  };
}
