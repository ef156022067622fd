import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { findVault } from './find-server.mjs';
import { freePort } from './free-port.ts';
import { type ServerProcess, startProcess } from './process.ts';

const READY_WITHIN_MS = 60_000;
const LOOK_AGAIN_MS = 50;

/** Where a Vault server of our own keeps its files. */
export interface VaultOptions {
  /** Holds its configuration and its log. */
  readonly directory: string;
  /** This machine's environment, for finding the binary; none of it reaches the server. */
  readonly env: NodeJS.ProcessEnv;
  /** PEM files. With them it also listens with TLS, and asks clients for a certificate without insisting. */
  readonly tls?: { readonly certificateFile: string; readonly keyFile: string };
}

/** A real Vault or OpenBao server with storage in memory: not a development server, so it can be sealed. */
export interface Vault {
  /** `http://127.0.0.1:PORT`. */
  readonly address: string;
  /** `https://localhost:PORT`, where TLS was asked for. */
  readonly tlsAddress: string | undefined;
  /** For an operator's set-up only; the broker and the sidecar never see it. */
  readonly rootToken: string;
  /** What it says it is: `OpenBao 2.7.2`, `Vault 1.21.4`. */
  readonly product: string;
  seal(): Promise<void>;
  unseal(): Promise<void>;
  /** Holds it still, so that it accepts connections and answers nothing; until `resume`. */
  pause(): void;
  resume(): void;
  stop(): Promise<void>;
}

/**
 * Starts a Vault server on a free port, initialised with one unseal key and unsealed.
 * Rejects, quoting its log, when there is none on this machine or it does not come up.
 */
export async function startVault({ directory, env, tls }: VaultOptions): Promise<Vault> {
  const command = findVault(env);
  if (command === undefined)
    throw new Error('there is no vault or bao on this machine: run `node stack/install.mjs start`');
  const port = await freePort();
  const address = `http://127.0.0.1:${port}`;
  const configuration = join(directory, 'vault.json');
  const secure = tls && { ...tls, port: await freePort() };
  await writeFile(configuration, JSON.stringify(configurationFor(port, address, secure)));

  const server = startProcess({
    name: 'the vault server',
    command,
    args: ['server', `-config=${configuration}`],
    // No VAULT_*, BAO_* or proxy setting of this machine.
    env: { PATH: env.PATH, HOME: directory },
    logFile: join(directory, 'vault.log'),
  });
  const call = createCaller(address);
  try {
    const [, name = 'Vault', version = ''] = await server.line(/Version: (OpenBao|Vault) v([^\s,]+)/, READY_WITHIN_MS);
    await answers(server, `${address}/v1/sys/seal-status`);
    const { keys, root_token: rootToken } = await call<{ keys: [string]; root_token: string }>('sys/init', {
      secret_shares: 1,
      secret_threshold: 1,
    });
    const unseal = async () => {
      await call('sys/unseal', { key: keys[0] });
      // Unsealed is not yet active: for a moment it answers as a standby.
      await answers(server, `${address}/v1/sys/health`);
    };
    await unseal();
    return {
      address,
      tlsAddress: secure && `https://localhost:${secure.port}`,
      rootToken,
      product: `${name} ${version}`,
      seal: () => call('sys/seal', {}, rootToken),
      unseal,
      pause: () => server.signal('SIGSTOP'),
      resume: () => server.signal('SIGCONT'),
      stop: () => {
        server.signal('SIGCONT');
        return server.stop();
      },
    };
  } catch (error) {
    await server.stop();
    throw error;
  }
}

function configurationFor(
  port: number,
  address: string,
  tls: (NonNullable<VaultOptions['tls']> & { readonly port: number }) | undefined,
): object {
  const plain = { tcp: { address: `127.0.0.1:${port}`, tls_disable: true } };
  const secure = tls && {
    tcp: { address: `127.0.0.1:${tls.port}`, tls_cert_file: tls.certificateFile, tls_key_file: tls.keyFile },
  };
  return {
    storage: { inmem: {} },
    listener: secure ? [plain, secure] : plain,
    api_addr: address,
    disable_mlock: true,
  };
}

/** Polls until the server answers 200 at a URL. */
async function answers(server: ServerProcess, url: string): Promise<void> {
  for (const end = Date.now() + READY_WITHIN_MS; Date.now() < end; ) {
    const response = await fetch(url).catch(() => undefined);
    await response?.arrayBuffer();
    if (response?.ok) return;
    const ended = await Promise.race([server.ended, delay(LOOK_AGAIN_MS)]);
    if (ended !== undefined) throw new Error(`the vault server ended (${ended}) before it was ready`);
  }
  throw new Error(`the vault server was not ready within ${READY_WITHIN_MS} ms`);
}

function createCaller(address: string) {
  return async <T>(path: string, body: object, token?: string): Promise<T> => {
    const response = await fetch(`${address}/v1/${path}`, {
      method: 'PUT',
      body: JSON.stringify(body),
      ...(token ? { headers: { 'X-Vault-Token': token } } : {}),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`vault answered ${response.status} to ${path}: ${text}`);
    return (text === '' ? undefined : JSON.parse(text)) as T;
  };
}
