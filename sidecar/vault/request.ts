/**
 * HTTP to Vault or OpenBao, as little as the sidecar needs: a deadline on every request, no redirect followed (it
 * would carry the token to another host), no proxy, small answers.
 */
import { X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import * as z from 'zod';
import { IdentityError } from '../identity-error.ts';

export interface VaultAddress {
  /** Without a path. */
  readonly address: URL;
  readonly namespace: string | undefined;
  /** PEM; the system's own authorities where undefined. Read anew for every request. */
  readonly caFile: string | undefined;
}

/** PEM; shown to Vault in the TLS handshake. */
export interface ClientCertificate {
  readonly cert: string;
  readonly key: string;
}

interface VaultCall {
  readonly method: 'GET' | 'POST';
  /** Below `/v1/`. */
  readonly path: string;
  readonly token?: string;
  readonly body?: Readonly<Record<string, unknown>>;
  readonly clientCertificate?: ClientCertificate;
  /** Answers whatever the status is. */
  readonly bearFailure?: boolean;
}

/** An answer with a status below 300, or one of 400 to 499; the caller knows what the latter means at its path. */
export interface VaultAnswer {
  readonly status: number;
  readonly text: string;
}

/**
 * @throws IdentityError VAULT_UNREACHABLE, VAULT_NOT_TRUSTED, VAULT_REDIRECTED, VAULT_SEALED, VAULT_STANDBY, VAULT_BUSY,
 * VAULT_FAILING, ANSWER_NOT_UNDERSTOOD, CREDENTIAL_UNREADABLE (the file of the certificate authority).
 */
export type VaultRequest = (call: VaultCall) => Promise<VaultAnswer>;

const DEADLINE_MS = 10_000;
const LARGEST_ANSWER = 1_048_576;

/** What OpenSSL finds wrong with a certificate, as Node names it. */
const certificateFaults = /CERT|SIGNATURE|ISSUER|CHAIN/;

const errorAnswer = z.object({ errors: z.array(z.string()) });
const healthAnswer = z.object({ sealed: z.boolean(), standby: z.boolean() });

export function createVaultRequest(vault: VaultAddress): VaultRequest {
  return async (call) => {
    const answer = await send(vault, call);
    if (call.bearFailure) return answer;
    const { status, text } = answer;
    if (status >= 500) throw await failureOf(vault, answer);
    if (status >= 300 && status < 400)
      throw new IdentityError('VAULT_REDIRECTED', `vault answered ${status} to ${call.path}`);
    if (status === 429) throw new IdentityError('VAULT_BUSY', `vault answered ${status} to ${call.path}`);
    if (status === 473) throw new IdentityError('VAULT_STANDBY', `vault answered ${status} to ${call.path}`);
    if (status >= 400 && !parse(text, errorAnswer))
      throw new IdentityError(
        'ANSWER_NOT_UNDERSTOOD',
        `${call.path} was answered ${status} by somebody who is not vault`,
      );
    return answer;
  };
}

/** What Vault itself says is wrong, for the log: `errors` of its answer. */
export function errorsOf(text: string): string {
  const { errors } = parse(text, errorAnswer) ?? {};
  return errors && errors.length > 0 ? errors.join('; ').slice(0, 500) : 'no reason given';
}

async function failureOf(vault: VaultAddress, answer: VaultAnswer): Promise<IdentityError> {
  const health = await send(vault, { method: 'GET', path: 'sys/health' }).catch(() => undefined);
  const state = health && parse(health.text, healthAnswer);
  if (state?.sealed) return new IdentityError('VAULT_SEALED', 'vault is sealed');
  if (state?.standby) return new IdentityError('VAULT_STANDBY', 'this vault is a standby, and there is no active one');
  return new IdentityError('VAULT_FAILING', `vault answered ${answer.status}: ${errorsOf(answer.text)}`);
}

/** Undefined where a gateway in front of Vault has answered in its own words. */
function parse<T>(text: string, schema: z.ZodType<T>): T | undefined {
  try {
    return schema.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined;
  }
}

async function send(
  vault: VaultAddress,
  { method, path, token, body, clientCertificate }: VaultCall,
): Promise<VaultAnswer> {
  const ca = vault.caFile === undefined ? undefined : await readAuthority(vault.caFile);
  const sent = body === undefined ? undefined : Buffer.from(JSON.stringify(body));
  const secure = vault.address.protocol === 'https:';
  const options = {
    method,
    // A connection for each request, by no agent: the next one is half a certificate's life away.
    agent: false as const,
    signal: AbortSignal.timeout(DEADLINE_MS),
    headers: {
      'X-Vault-Request': 'true',
      ...(vault.namespace === undefined ? {} : { 'X-Vault-Namespace': vault.namespace }),
      ...(token === undefined ? {} : { 'X-Vault-Token': token }),
      ...(sent === undefined ? {} : { 'Content-Type': 'application/json', 'Content-Length': sent.length }),
    },
  };
  const url = new URL(`/v1/${path}`, vault.address);
  return new Promise((resolve, reject) => {
    const fail = (cause: NodeJS.ErrnoException) => reject(notReached(vault, cause));
    const request = secure
      ? httpsRequest(url, { ...options, ...(ca && { ca }), ...clientCertificate })
      : httpRequest(url, options);
    request.once('error', fail);
    request.once('response', (response) => {
      const chunks: Buffer[] = [];
      let length = 0;
      response.on('data', (chunk: Buffer) => {
        chunks.push(chunk);
        length += chunk.length;
        if (length > LARGEST_ANSWER) response.destroy(new Error(`the answer has more than ${LARGEST_ANSWER} bytes`));
      });
      response.once('error', fail);
      response.once('end', () => resolve({ status: response.statusCode ?? 0, text: Buffer.concat(chunks).toString() }));
    });
    request.end(sent);
  });
}

/** Who answers but cannot be believed is told from who does not answer. */
function notReached(vault: VaultAddress, cause: NodeJS.ErrnoException): IdentityError {
  const { origin } = vault.address;
  const code = cause.code ?? '';
  const isTls = code === 'EPROTO' || /^ERR_(SSL|TLS)_/.test(code) || certificateFaults.test(code);
  if (isTls) return new IdentityError('VAULT_NOT_TRUSTED', `the tls of ${origin} is not accepted`, { cause });
  return new IdentityError('VAULT_UNREACHABLE', `vault cannot be reached at ${origin}`, { cause });
}

async function readAuthority(file: string): Promise<Buffer> {
  try {
    const pem = await readFile(file);
    // Throws here for what TLS would only refuse as a fault of ours.
    new X509Certificate(pem);
    return pem;
  } catch (cause) {
    throw new IdentityError('CREDENTIAL_UNREADABLE', 'the file of VAULT_CACERT cannot be read', { cause });
  }
}
