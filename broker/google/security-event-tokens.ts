/**
 * Checks security event tokens (RFC 8417) as Google asks receivers to: signed by the keys that its RISC configuration
 * names, issued by the issuer that it names, for one of our OAuth clients. They carry no `exp`, and one that is there is not
 * looked at: what happened stays true.
 *
 * What costs nothing is looked at first: a stranger must make nobody fetch keys or ask the database.
 */
import * as z from 'zod';
import { BrokerError } from '../errors.ts';
import { createSignatureVerifier, type VerifySignature } from '../jwt.ts';
import type { CheckedToken, Clock, SecurityEventFault, SecurityEventTokens } from '../ports.ts';

const configuration = z.object({ issuer: z.string().min(1), jwks_uri: z.url() });
const header = z.object({
  alg: z.string(),
  typ: z
    .string()
    .transform((typ) => typ.toLowerCase())
    .pipe(z.enum(['secevent+jwt', 'application/secevent+jwt', 'jwt']))
    .optional(),
});
const addressed = z.looseObject({ iss: z.string(), aud: z.union([z.string(), z.array(z.string())]) });

/** The configuration document is read again after this. */
const readAgainMs = 3_600_000;
/** Where Google's documents cannot be had, they are not asked for again before this. */
const restMs = 5_000;

interface Keys {
  readonly issuer: string;
  readonly jwksUri: string;
  readonly verify: VerifySignature;
  readonly readAt: number;
}

export function createSecurityEventTokens(deps: {
  settings: { readonly issuer: string; readonly configurationUrl: string; readonly deadlineMs: number };
  clock: Clock;
}): SecurityEventTokens {
  const { settings, clock } = deps;
  let keys: Keys | undefined;
  let reading: Promise<Keys> | undefined;
  let restUntil = 0;

  return {
    issuer: settings.issuer,

    async check(token, audiences) {
      const parts = decode(token);
      if (!parts) return refused('invalid_request', 'not a signed token');
      if (!header.safeParse(parts.header).success) return refused('invalid_request', 'a token of another type');
      const claims = addressed.safeParse(parts.claims);
      if (!claims.success) return refused('invalid_request', 'iss or aud is missing');
      // Close enough for a stranger; the very name is compared below.
      if (withoutSlash(claims.data.iss) !== withoutSlash(settings.issuer))
        return refused('invalid_issuer', 'another issuer');

      const known = await currentKeys();
      if (claims.data.iss !== known.issuer) return refused('invalid_issuer', 'another issuer');
      if (!(await isSigned(token, known))) return refused('invalid_key', 'not signed by a key of the issuer');
      const ours = new Set(await audiences());
      if (![claims.data.aud].flat().some((name) => ours.has(name)))
        return refused('invalid_audience', 'for nobody of ours');
      return { ok: true, claims: claims.data };
    },
  };

  async function isSigned(token: string, { verify }: Keys): Promise<boolean> {
    try {
      return (await verify(token)) !== undefined;
    } catch (cause) {
      throw unavailable('keys of security events not to be had', cause);
    }
  }

  /** The last ones that were read, where they cannot be read anew. */
  async function currentKeys(): Promise<Keys> {
    const now = clock.now().getTime();
    if (keys && now - keys.readAt < readAgainMs) return keys;
    if (now < restUntil) return keys ?? refuse();
    reading ??= read(now).finally(() => {
      reading = undefined;
    });
    try {
      keys = await reading;
      return keys;
    } catch (cause) {
      restUntil = now + restMs;
      return keys ?? refuse(cause);
    }
  }

  async function read(now: number): Promise<Keys> {
    const response = await fetch(settings.configurationUrl, {
      redirect: 'error',
      signal: AbortSignal.timeout(settings.deadlineMs),
    });
    if (!response.ok) throw new Error(`it answered ${response.status}`);
    const { issuer, jwks_uri: jwksUri } = configuration.parse(await response.json());
    if (withoutSlash(issuer) !== withoutSlash(settings.issuer)) throw new Error('it names another issuer');
    const verify =
      keys?.jwksUri === jwksUri ? keys.verify : createSignatureVerifier({ jwksUri, deadlineMs: settings.deadlineMs });
    return { issuer, jwksUri, verify, readAt: now };
  }

  function refuse(cause?: unknown): never {
    throw unavailable('the RISC configuration is not to be had', cause);
  }
}

function unavailable(detail: string, cause: unknown): BrokerError {
  return new BrokerError('AUTHORIZATION_SERVER_UNAVAILABLE', { detail, cause, retryAfter: restMs / 1000 });
}

function refused(fault: SecurityEventFault, detail: string): CheckedToken {
  return { ok: false, fault, detail };
}

/** Reads header and claims without believing them. */
function decode(token: string): { header: unknown; claims: unknown } | undefined {
  const parts = token.split('.');
  if (parts.length !== 3 || !parts.every((part) => /^[A-Za-z0-9_-]+$/.test(part))) return undefined;
  try {
    const [head, body] = parts
      .slice(0, 2)
      .map((part): unknown => JSON.parse(Buffer.from(part, 'base64url').toString('utf8')));
    return { header: head, claims: body };
  } catch {
    return undefined;
  }
}

function withoutSlash(name: string): string {
  return name.replace(/\/$/, '');
}
