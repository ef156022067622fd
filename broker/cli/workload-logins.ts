/** What `broker vault enable-login` and `add-workload` are told about logins of workloads, from options and files. */
import { readFile } from 'node:fs/promises';
import { Secret } from '../domain/secret.ts';
import { BrokerError } from '../errors.ts';

export const loginMethods = ['kubernetes', 'jwt', 'cert'] as const;
export type LoginMethod = (typeof loginMethods)[number];

/** What Vault has to know to believe a login. */
export type LoginWish =
  | {
      readonly method: 'kubernetes';
      readonly host: string;
      readonly caPem?: string;
      readonly reviewerToken?: Secret<string>;
    }
  | {
      readonly method: 'jwt';
      readonly keys: { readonly pem: readonly string[] } | { readonly discoveryUrl: string; readonly caPem?: string };
      readonly issuer?: string;
    }
  | { readonly method: 'cert' };

/** By what a workload is known. */
export type ProofWish =
  | { readonly method: 'approle' }
  | {
      readonly method: 'kubernetes' | 'jwt';
      readonly namespace: string;
      readonly serviceAccount: string;
      readonly audience: string;
    }
  | { readonly method: 'cert'; readonly authorityPem: string };

export interface LoginOptions {
  readonly host?: string;
  readonly ca?: string;
  readonly reviewerTokenFile?: string;
  readonly keys?: string;
  readonly discoveryUrl?: string;
  readonly issuer?: string;
}

const optionsOf: Readonly<Record<LoginMethod, readonly (keyof LoginOptions)[]>> = {
  kubernetes: ['host', 'ca', 'reviewerTokenFile'],
  jwt: ['keys', 'discoveryUrl', 'ca', 'issuer'],
  cert: [],
};
const publicKey = /-----BEGIN PUBLIC KEY-----[\s\S]+?-----END PUBLIC KEY-----/g;

/** Throws INVALID_REQUEST for options of another method, and for files that cannot be read. */
export async function readLoginWish(method: LoginMethod, options: LoginOptions): Promise<LoginWish> {
  const strange = Object.keys(options).filter((name) => !(optionsOf[method] as readonly string[]).includes(name));
  const names = strange.map((name) => `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`);
  if (names.length > 0) throw invalid(`${names.join(', ')} is not for the login ${method}`);
  const { host = 'https://kubernetes.default.svc', ca, reviewerTokenFile, keys, discoveryUrl, issuer } = options;
  const caPem = ca === undefined ? undefined : await content(ca);
  switch (method) {
    case 'kubernetes': {
      const token = reviewerTokenFile === undefined ? undefined : new Secret(await content(reviewerTokenFile));
      return { method, host, ...(caPem !== undefined && { caPem }), ...(token && { reviewerToken: token }) };
    }
    case 'jwt': {
      const known = issuer === undefined ? {} : { issuer };
      if ((keys === undefined) === (discoveryUrl === undefined)) throw invalid('give --keys or --discovery-url');
      if (discoveryUrl !== undefined)
        return { method, keys: { discoveryUrl, ...(caPem !== undefined && { caPem }) }, ...known };
      const pem = (await content(keys ?? '')).match(publicKey) ?? [];
      if (pem.length === 0) throw invalid(`${keys} holds no public key in PEM`);
      return { method, keys: { pem }, ...known };
    }
    case 'cert':
      return { method };
  }
}

export interface ProofOptions {
  readonly kubernetes?: string;
  readonly jwt?: string;
  readonly cert?: string;
  readonly audience?: string;
}

/** Throws INVALID_REQUEST for more than one proof, and for a malformed one. */
export async function readProofWish({ audience = 'vault', ...proofs }: ProofOptions): Promise<ProofWish> {
  const given = loginMethods.filter((method) => proofs[method] !== undefined);
  const [method] = given;
  if (given.length > 1) throw invalid(`give one of ${given.map((name) => `--${name}`).join(', ')}`);
  if (method === undefined) return { method: 'approle' };
  const value = proofs[method] ?? '';
  if (method === 'cert') return { method, authorityPem: await content(value) };
  const [namespace, serviceAccount, more] = value.split('/');
  if (!namespace || !serviceAccount || more !== undefined) throw invalid(`--${method} wants NAMESPACE/SERVICE-ACCOUNT`);
  return { method, namespace, serviceAccount, audience };
}

/** Without white space at the ends, as Vault answers it. */
async function content(file: string): Promise<string> {
  try {
    return (await readFile(file, 'utf8')).trim();
  } catch {
    throw invalid(`${file} cannot be read`);
  }
}

function invalid(problem: string): BrokerError {
  return new BrokerError('INVALID_REQUEST', { problems: [problem] });
}
