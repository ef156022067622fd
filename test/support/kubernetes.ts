import { generateKeyPairSync } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { request } from 'node:https';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { z } from 'zod';
import { freePort } from '../../stack/free-port.ts';
import { startProcess } from '../../stack/process.ts';
import { executableOf } from './requires.ts';
import { atEnd, type Scope, useFolder } from './scope.ts';

/** A real API server with its etcd, and no nodes: what needs a container is out of reach, all else is real. */
export interface Kubernetes {
  readonly address: string;
  readonly caPem: string;
  /** Of the service accounts' tokens. */
  readonly publicKeyPem: string;
  readonly issuer: string;
  /** Makes the namespace and the service account where they are missing, and a token of it, as the kubelet asks for one. */
  token(account: { readonly namespace: string; readonly name: string; readonly audience?: string }): Promise<string>;
  /** Lets a service account review the tokens of others. */
  allowReviews(account: { readonly namespace: string; readonly name: string }): Promise<void>;
  removeServiceAccount(account: { readonly namespace: string; readonly name: string }): Promise<void>;
}

const ADMIN = 'admin-of-the-test';
const READY_WITHIN_MS = 60_000;
const tokenAnswer = z.object({ status: z.object({ token: z.string() }) });

/** Starts one, up in about a second. Ask `requires('kubernetes')` first. */
export async function useKubernetes(scope: Scope): Promise<Kubernetes> {
  const folder = await useFolder(scope);
  const binaries = dirname(executableOf('kubernetes'));
  const [client, peer, port] = [await freePort(), await freePort(), await freePort()];
  const etcdUrl = `http://127.0.0.1:${client}`;
  const issuer = 'https://kubernetes.default.svc';
  const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const publicKeyPem = publicKey.export({ type: 'spki', format: 'pem' }).toString().trim();
  const certificates = join(folder, 'certificates');
  await mkdir(certificates);
  await writeFile(join(folder, 'sa.pub'), publicKeyPem);
  await writeFile(join(folder, 'sa.key'), privateKey.export({ type: 'pkcs1', format: 'pem' }));
  await writeFile(join(folder, 'tokens.csv'), `${ADMIN},admin,admin,system:masters\n`);

  const start = (name: string, args: readonly string[]) => {
    const server = startProcess({
      name,
      command: join(binaries, name),
      args,
      env: { PATH: process.env.PATH, HOME: folder },
      logFile: join(folder, `${name}.log`),
    });
    atEnd(scope, server.stop);
    return server;
  };
  start('etcd', [
    `--data-dir=${join(folder, 'etcd')}`,
    `--listen-client-urls=${etcdUrl}`,
    `--advertise-client-urls=${etcdUrl}`,
    `--listen-peer-urls=http://127.0.0.1:${peer}`,
    '--unsafe-no-fsync',
  ]);
  const server = start('kube-apiserver', [
    `--etcd-servers=${etcdUrl}`,
    `--secure-port=${port}`,
    '--bind-address=127.0.0.1',
    `--cert-dir=${certificates}`,
    `--service-account-issuer=${issuer}`,
    `--service-account-key-file=${join(folder, 'sa.pub')}`,
    `--service-account-signing-key-file=${join(folder, 'sa.key')}`,
    `--token-auth-file=${join(folder, 'tokens.csv')}`,
    '--authorization-mode=RBAC',
    '--service-cluster-ip-range=10.0.0.0/24',
    '--disable-admission-plugins=ServiceAccount',
  ]);

  const address = `https://127.0.0.1:${port}`;
  const caFile = join(certificates, 'apiserver.crt');
  const call = async (method: string, path: string, body?: object) => {
    const ca = await readFile(caFile);
    return new Promise<{ readonly status: number; readonly text: string }>((resolve, reject) => {
      const headers = { Authorization: `Bearer ${ADMIN}`, 'Content-Type': 'application/json' };
      const sent = request(`${address}${path}`, { method, ca, headers, agent: false }, (answer) => {
        let text = '';
        answer.setEncoding('utf8').on('data', (chunk: string) => {
          text += chunk;
        });
        answer.once('end', () => resolve({ status: answer.statusCode ?? 0, text }));
      });
      sent.once('error', reject);
      sent.end(body && JSON.stringify(body));
    });
  };
  const mustDo = async (method: string, path: string, body?: object) => {
    const { status, text } = await call(method, path, body);
    // What is there already is as good as made.
    if (status >= 300 && status !== 409) throw new Error(`kubernetes answered ${status} to ${path}: ${text}`);
    return text;
  };

  const isReady = () =>
    call('GET', '/readyz').then(
      ({ status }) => status === 200,
      () => false,
    );
  for (const end = Date.now() + READY_WITHIN_MS; !(await isReady()); ) {
    const ended = await Promise.race([server.ended, delay(50)]);
    if (ended !== undefined || Date.now() > end) throw new Error(`kube-apiserver is not ready (${ended})`);
  }

  const accountPath = (namespace: string) => `/api/v1/namespaces/${namespace}/serviceaccounts`;
  return {
    address,
    caPem: (await readFile(caFile, 'utf8')).trim(),
    publicKeyPem,
    issuer,
    async token({ namespace, name, audience }) {
      await mustDo('POST', '/api/v1/namespaces', { metadata: { name: namespace } });
      await mustDo('POST', accountPath(namespace), { metadata: { name } });
      const text = await mustDo('POST', `${accountPath(namespace)}/${name}/token`, {
        apiVersion: 'authentication.k8s.io/v1',
        kind: 'TokenRequest',
        spec: { ...(audience && { audiences: [audience] }), expirationSeconds: 3_600 },
      });
      return tokenAnswer.parse(JSON.parse(text)).status.token;
    },
    async allowReviews({ namespace, name }) {
      await mustDo('POST', '/apis/rbac.authorization.k8s.io/v1/clusterrolebindings', {
        metadata: { name: `reviews-${namespace}-${name}` },
        roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'system:auth-delegator' },
        subjects: [{ kind: 'ServiceAccount', name, namespace }],
      });
    },
    async removeServiceAccount({ namespace, name }) {
      await mustDo('DELETE', `${accountPath(namespace)}/${name}`);
    },
  };
}
