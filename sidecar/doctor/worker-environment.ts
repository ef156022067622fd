/**
 * What in an environment leads Google's client libraries past the sidecar. In one that points at a sidecar such a thing
 * breaks uploads; in any other it is a warning, because `sidecar exec` and `sidecar env` cure it.
 */
import { access, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Environment } from '../config.ts';
import { sparesLoopback, withLoopbackSpared } from '../worker/environment.ts';
import { type Finding, type TrapCode, trap, well } from './finding.ts';

const proxies = ['HTTP_PROXY', 'http_proxy', 'HTTPS_PROXY', 'https_proxy', 'ALL_PROXY', 'all_proxy'];

/**
 * Looks at an environment.
 *
 * @param mdsFolder Where a machine of Google's keeps the keys of its own metadata server.
 */
export async function examineWorkerEnvironment(
  environment: Environment,
  mdsFolder: string,
): Promise<readonly Finding[]> {
  const pointsHere = environment.GCE_METADATA_HOST !== undefined || environment.TOKEN_SIDECAR_URL !== undefined;
  const level = pointsHere ? 'failure' : 'warning';
  const found: Finding[] = [];
  const add = (code: TrapCode, detail?: string, cure?: string) =>
    void found.push(trap(code, detail, { level, ...(cure === undefined ? {} : { cure }) }));

  const proxy = proxies.find((name) => environment[name]);
  if (proxy && !sparesLoopback(environment)) {
    const { NO_PROXY } = withLoopbackSpared(environment);
    add(
      'PROXY_WITHOUT_NO_PROXY',
      `${proxy} is set.`,
      `export NO_PROXY=${NO_PROXY}${environment.no_proxy === undefined ? '' : ' no_proxy="$NO_PROXY"'}`,
    );
  }

  const file = environment.GOOGLE_APPLICATION_CREDENTIALS;
  const login = join(
    environment.CLOUDSDK_CONFIG ?? join(environment.HOME ?? '/', '.config/gcloud'),
    'application_default_credentials.json',
  );
  if (file && !(await isOurs(file))) add('GOOGLE_APPLICATION_CREDENTIALS', `It is set to ${file}.`);
  else if (!file && (await isThere(login))) add('GCLOUD_LOGIN', `It is ${login}.`);

  if ((await isThere(mdsFolder)) && environment.GCE_METADATA_MTLS_MODE !== 'none')
    add('GOOGLE_MDS_MTLS', `${mdsFolder} is there.`);
  if (environment.NO_GCE_CHECK?.toLowerCase() === 'true') add('GCE_CHECK_OFF');
  const { METADATA_SERVER_DETECTION: detection, GCE_METADATA_HOST: host, GCE_METADATA_IP: ip } = environment;
  if (detection !== undefined && detection !== 'assume-present') add('METADATA_DETECTION', `It is ${detection}.`);
  if (host !== undefined && ip !== host) add('METADATA_HOSTS_DIFFER', `They are ${host} and ${ip ?? 'not set'}.`);
  if (found.length > 0) return found;
  return [well('WORKER_ENVIRONMENT', 'Nothing in this environment leads Google’s libraries past the sidecar.')];
}

async function isThere(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

/** Whether it is a credential file of a sidecar on this machine. */
async function isOurs(file: string): Promise<boolean> {
  try {
    const { type, token_url: tokenUrl } = JSON.parse(await readFile(file, 'utf8')) as Record<string, unknown>;
    const { hostname } = new URL(String(tokenUrl));
    return type === 'external_account_authorized_user' && /^(?:127\.|\[::1\]$|localhost$)/.test(hostname);
  } catch {
    return false;
  }
}
