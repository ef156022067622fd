/** All that the doctor looks at, in the order in which a sidecar needs it. It changes nothing and gives no token away. */
import { createBrokerConnector } from '../broker-connection.ts';
import { ConfigError, type Environment, loadConfig, loadLocalConfig, type SidecarConfig } from '../config.ts';
import { createSvidIssuer } from '../svid-issuer.ts';
import { createVaultLogin, type LoginConfig } from '../vault/login.ts';
import { createVaultRequest } from '../vault/request.ts';
import { examineBroker } from './broker.ts';
import { examineChannels } from './channels.ts';
import { examineFiles } from './files.ts';
import { type Finding, skipped, trap } from './finding.ts';
import { examineMetadataHost, examineProcess, examineSidecar } from './machine.ts';
import { examineVault } from './vault.ts';
import { examineWorkerEnvironment } from './worker-environment.ts';

export interface Patient {
  readonly environment: Environment;
  /** Options on the command line of Node.js. */
  readonly execArgv: readonly string[];
  /** Where a machine of Google's keeps the keys of its own metadata server; its usual place by default. */
  readonly mdsFolder?: string;
  /** Whether to log in at Vault, which Vault's audit log shows, and may use up a login. */
  readonly logIn: boolean;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

/** What a login has to say beside its error is in the finding. */
const silent = { info: () => {}, warn: () => {}, error: () => {} };

/** Looks at everything; what is found comes one by one. */
export async function* examine(patient: Patient): AsyncGenerator<Finding> {
  const { environment, execArgv, mdsFolder = '/run/google-mds-mtls' } = patient;
  yield* await examineProcess(execArgv, environment);
  const config = settingsOf(() => loadConfig(environment));
  if (Array.isArray(config)) yield* config;
  const local = settingsOf(() => loadLocalConfig(environment));
  if (!Array.isArray(local)) yield* await examineSidecar(local);
  yield* await examineWorkerEnvironment(environment, mdsFolder);
  yield* await examineMetadataHost(environment);
  yield* await examineFiles(environment);
  if (Array.isArray(config)) yield skipped('VAULT', 'Vault and broker were not looked at: their settings are missing.');
  else yield* examineIdentity(config, patient);
}

async function* examineIdentity(config: SidecarConfig, { logIn, now }: Patient): AsyncGenerator<Finding> {
  const vault = createVaultRequest(config.vault);
  const login = createVaultLogin(vault, config.login, { log: silent, now });
  const { mount: pkiMount, role: pkiRole } = config.pki;
  const issuer = createSvidIssuer({ vault, login, pkiMount, pkiRole, spiffeId: config.spiffeId, now });
  const { findings, svid } = await examineVault({
    address: config.vault.address,
    vault: createVaultRequest({ ...config.vault, namespace: undefined }),
    issue: logIn && !isSpentByUse(config.login) ? issuer : undefined,
    now,
  });
  yield* findings;
  if (!svid) return yield skipped('BROKER', 'The broker was not looked at: that needs a certificate.');
  const { address, spiffeId: expected } = config.broker;
  const broker = await examineBroker({ address, expected, svid, now });
  yield* broker;
  if (broker.some(({ level, code }) => level === 'failure' && code !== 'CLOCK_DIFFERS')) return;
  const connection = createBrokerConnector(address, expected)(svid);
  try {
    yield* await examineChannels(connection, [...config.gceChannels.keys()]);
  } finally {
    connection.close();
  }
}

/** A wrapped secret id opens once, and the sidecar needs it. */
function isSpentByUse(login: LoginConfig): boolean {
  return login.method === 'approle' && 'wrappedFile' in login.secretId;
}

function settingsOf<T>(load: () => T): T | Finding[] {
  try {
    return load();
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return [trap('SETTINGS_WRONG', `${error.problems.join('; ')}.`)];
  }
}
