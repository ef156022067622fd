/**
 * The story of a channel, on real parts: Vault is set up → an admin adds a channel → its owner consents → a worker reads
 * a token and uploads. Everything is done the way its people do it: by the `broker` command, in a browser, by Google's
 * own library.
 */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { Secret } from '../broker/domain/secret.ts';
import { createVaultConnection } from '../broker/vault/connection.ts';
import { tokenLogin } from '../broker/vault/login.ts';
import { connectPracticeGoogle } from '../test/fake-google/remote.ts';
import { walkConsent } from '../test/fake-google/walk-consent.ts';
import { createOwnerBrowser } from '../test/support/owner-browser.ts';
import { createPerson } from '../test/support/vault-people.ts';
import { layout, workloadSpiffeId } from '../vault-policies/layout.ts';
import { type Admin, createAdmin } from './admin.ts';
import {
  type Closers,
  type Parts,
  startBrokerProcess,
  startParts,
  startPracticeGoogleProcess,
  startSidecarProcess,
} from './parts.ts';
import { DemoError, type Settings } from './settings.ts';
import type { Teller } from './teller.ts';

const trustDomain = 'token-broker.internal';
const owner = { email: 'olga@example.com', channel: { id: 'UCnorthStudio00000000000', title: 'North Studio' } };
const spiffeId = workloadSpiffeId(trustDomain, 'uploader');

interface AddedChannel {
  readonly channel: { readonly id: string; readonly state: string };
  readonly consent_link: { readonly url: string };
}

/** What there is to try when the story has been told. */
export interface Ending {
  readonly channel: string;
  readonly secondConsentLink: string;
  readonly adminEnvironment: Readonly<Record<string, string>>;
}

export async function tellStory(
  teller: Teller,
  settings: Settings,
  closers: Closers,
  env: NodeJS.ProcessEnv,
): Promise<Ending> {
  const { ports, realClient } = settings;
  const publicUrl = `http://localhost:${ports.broker}`;
  const redirectUri = `${publicUrl}/oauth2/callback`;

  const { parts, googleUrl } = await teller.step('The real parts start', async () => {
    const [parts, googleUrl] = await Promise.all([
      startParts(closers, env),
      realClient ? undefined : startPracticeGoogleProcess(closers, ports.google),
    ]);
    teller.say(`${parts.vault.product} keeps the keys, PostgreSQL the record, Redis the newest tokens.`);
    teller.say(googleUrl ? `A practice Google at ${googleUrl} plays Google and YouTube.` : 'Google is the real one.');
    return { parts, googleUrl };
  });
  const { vault } = parts;

  const person = await teller.step('An operator sets Vault up, with a token of their own', async () => {
    const operator = createAdmin(teller, { VAULT_ADDR: vault.address, VAULT_TOKEN: vault.rootToken });
    await operator.brokerSays('vault', 'bootstrap');
    teller.say(
      'Mounts, roles and one policy for each role are in place. Neither broker nor sidecar ever holds this token.',
    );
    for (const role of ['token-broker', 'uploader']) {
      if (role === 'uploader') await operator.brokerSays('vault', 'add-workload', role);
      await operator.brokerSays('vault', 'issue-credential', role, '--out', join(parts.folder, role));
    }
    return createAda(vault);
  });

  const broker = await teller.step(
    'The broker starts, with a login that may do only what its policy lists',
    async () => {
      const owner = { DATABASE_URL: parts.databaseUrl, BROKER_MIGRATION_DATABASE_URL: parts.databaseOwnerUrl };
      await createAdmin(teller, owner).brokerSays('migrate');
      teller.say('The owner of the tables makes them; the broker itself can change no table and no record of an act.');
      const running = await startBrokerProcess(closers, {
        ...googleSettings(googleUrl, env),
        BROKER_LISTEN: `127.0.0.1:${ports.broker}`,
        BROKER_PUBLIC_URL: publicUrl,
        BROKER_TRUST_DOMAIN: trustDomain,
        DATABASE_URL: parts.databaseUrl,
        REDIS_URL: parts.redisUrl,
        VAULT_ADDR: vault.address,
        BROKER_VAULT_ROLE_ID_FILE: join(parts.folder, 'token-broker/role-id'),
        BROKER_VAULT_SECRET_ID_FILE: join(parts.folder, 'token-broker/secret-id'),
        BROKER_OIDC_ISSUER: `${vault.address}/v1/identity/oidc`,
      });
      teller.say(
        `Consent pages and admin API: ${publicUrl}; for sidecars: gRPC over mTLS on port ${running.grpcPort}.`,
      );
      return running;
    },
  );

  const adminEnvironment = { BROKER_URL: publicUrl, VAULT_ADDR: vault.address, VAULT_TOKEN: person };
  const admin = createAdmin(teller, adminEnvironment);
  const added = await teller.step('An admin adds a tenant, an OAuth client and a channel', () =>
    addChannel(admin, { googleUrl, redirectUri, realClient }),
  );
  const { id } = added.channel;

  await teller.step('The channel’s owner consents', async () => {
    if (realClient) await realConsent(teller, admin, id, added.consent_link.url, redirectUri);
    else await practiceConsent(teller, added.consent_link.url);
  });

  await teller.step('Where the refresh token is now', () => showStoredToken(teller, parts, id));

  await teller.step('A sidecar starts beside the worker and proves who it is', async () => {
    await admin.broker('workload', 'allow', spiffeId, '--channel', id, '--reason', 'first upload');
    await startSidecarProcess(closers, {
      SIDECAR_BROKER_ADDR: `127.0.0.1:${broker.grpcPort}`,
      SIDECAR_TRUST_DOMAIN: trustDomain,
      SIDECAR_SPIFFE_ID: spiffeId,
      VAULT_ADDR: vault.address,
      SIDECAR_VAULT_ROLE_ID_FILE: join(parts.folder, 'uploader/role-id'),
      SIDECAR_VAULT_SECRET_ID_FILE: join(parts.folder, 'uploader/secret-id'),
      SIDECAR_LISTEN: `127.0.0.1:${ports.sidecar}`,
      SIDECAR_GCE_CHANNELS: `${id}=${ports.gce}`,
    });
    teller.say(`Vault signed a certificate for ${spiffeId}, good for an hour; its key is in memory only.`);
    teller.say('Tokens are in its memory only, and are served on this machine only.');
  });

  await teller.step('A worker uploads, with Google’s own library and no change to it', async () => {
    const lines = await runWorker({ gcePort: ports.gce, api: googleUrl ?? googleApi(env), upload: !realClient });
    const [channel, video] = lines;
    teller.say(`It asked YouTube which channel its token opens: “${channel?.channel}” (${channel?.id}).`);
    if (video) teller.say(`It uploaded ${video.bytes} bytes; the video’s id is ${video.uploaded}.`);
    else teller.say('It uploads nothing to a real channel; the token could.');
  });

  const second = await teller.step('For later: a second channel that waits for its owner', () =>
    admin.broker<AddedChannel>('channel', 'add', 'second-studio', '--tenant', 'acme', '--oauth-client', 'uploads'),
  );
  return { channel: id, secondConsentLink: second.consent_link.url, adminEnvironment };
}

async function createAda(vault: Parts['vault']): Promise<string> {
  const operator = createVaultConnection({
    address: vault.address,
    login: tokenLogin(new Secret(vault.rootToken)),
    clock: { now: () => new Date() },
    random: Math.random,
  });
  const names = layout({ trustDomain });
  try {
    const wish = { name: 'ada', groups: ['token-broker-operators'] };
    const ada = await createPerson({ address: vault.address, operator, layout: names }, wish);
    return (await ada.logIn()).reveal();
  } finally {
    await operator.close();
  }
}

function googleSettings(url: string | undefined, env: NodeJS.ProcessEnv): Record<string, string> {
  if (url) {
    return {
      BROKER_GOOGLE_ISSUER: url,
      BROKER_GOOGLE_AUTHORIZATION_URL: `${url}/o/oauth2/v2/auth`,
      BROKER_GOOGLE_TOKEN_URL: `${url}/token`,
      BROKER_GOOGLE_REVOCATION_URL: `${url}/revoke`,
      BROKER_GOOGLE_JWKS_URL: `${url}/oauth2/v3/certs`,
      BROKER_GOOGLE_YOUTUBE_URL: url,
    };
  }
  // Another authorization server that keeps the same standards can be named as for `broker serve`.
  return Object.fromEntries(
    Object.entries(env).filter((pair): pair is [string, string] => pair[0].startsWith('BROKER_GOOGLE_')),
  );
}

function googleApi(env: NodeJS.ProcessEnv): string {
  return env.BROKER_GOOGLE_YOUTUBE_URL ?? 'https://www.googleapis.com';
}

async function addChannel(
  admin: Admin,
  {
    googleUrl,
    redirectUri,
    realClient,
  }: { googleUrl: string | undefined; redirectUri: string; realClient: Settings['realClient'] },
): Promise<AddedChannel> {
  const client = realClient ?? { id: 'practice.apps.example', secret: 'practice-client-secret' };
  if (googleUrl) {
    const google = connectPracticeGoogle(googleUrl);
    await google.addClient({ clientId: client.id, clientSecret: client.secret, redirectUris: [redirectUri] });
    await google.addAccount({
      email: owner.email,
      name: 'Olga Owner',
      channels: [{ ...owner.channel, kind: 'personal' }],
    });
    await google.addAccount({
      email: 'sam@example.com',
      name: 'Sam Second',
      channels: [
        { id: 'UCsamSecond0000000000000', title: 'Sam at home', kind: 'personal' },
        { id: 'UCsecondStudio0000000000', title: 'Second Studio', kind: 'brand' },
      ],
    });
  }
  await admin.broker('tenant', 'create', 'acme');
  await admin.addOAuthClient('uploads', client);
  return admin.broker<AddedChannel>('channel', 'add', 'north-studio', '--tenant', 'acme', '--oauth-client', 'uploads');
}

async function practiceConsent(teller: Teller, link: string): Promise<void> {
  teller.say(`Olga opens the link she was sent: ${link.slice(0, -37)}…`);
  const browser = createOwnerBrowser();
  const authorizationUrl = await browser.start(link);
  teller.say(
    `She presses the button and is sent to ${new URL(authorizationUrl).origin}; there she picks her channel and allows.`,
  );
  const page = await browser.open(await walkConsent(authorizationUrl, { account: owner.email }));
  if (!page.text.includes(owner.channel.title)) {
    throw new DemoError(`The consent did not work. The page said: ${page.text}`, 'The logs are in .data/demo-logs.');
  }
  teller.say('Back at the broker, her browser shows:');
  teller.quote(/<h1[^>]*>(.*?)<\/h1>/s.exec(page.html)?.[1] ?? page.text);
  teller.say('The code went from Google to the broker; no token ever was in the browser.');
}

async function realConsent(teller: Teller, admin: Admin, id: string, link: string, redirectUri: string): Promise<void> {
  teller.say(`At Google, the OAuth client must have this redirect URI: ${redirectUri}`);
  teller.say('Then open this link in your browser and consent:');
  teller.quote(link);
  for (;;) {
    await new Promise((go) => setTimeout(go, 2_000));
    const { channel } = await admin.quietly<AddedChannel>('channel', 'show', id);
    if (channel.state === 'active') return teller.say('Thank you. The channel is active.');
  }
}

async function showStoredToken(teller: Teller, parts: Parts, id: string): Promise<void> {
  const database = new pg.Client({ connectionString: parts.databaseUrl });
  await database.connect();
  try {
    const { rows } = await database.query<{ refresh_token_encrypted: string; state: string }>(
      'select refresh_token_encrypted, state from channels where id = $1',
      [id],
    );
    teller.say('In PostgreSQL, in this form and no other (table channels, column refresh_token_encrypted):');
    teller.quote(`${rows[0]?.refresh_token_encrypted.slice(0, 60)}…`);
  } finally {
    await database.end();
  }
  teller.say(
    'It is encrypted by the transit key tenant-acme, which never leaves Vault, and opens only as this tenant, this ' +
      'channel and this consent. Only the broker’s login may ask Vault to decrypt it, and does so only for the moment ' +
      'of a refresh. Admins, workers, sidecars and a stolen database cannot.',
  );
}

interface WorkerLine {
  readonly channel?: string;
  readonly id?: string;
  readonly uploaded?: string;
  readonly bytes?: number;
}

function runWorker(options: { gcePort: number; api: string; upload: boolean }): Promise<readonly WorkerLine[]> {
  const sidecar = `127.0.0.1:${options.gcePort}`;
  const child = spawn(process.execPath, [fileURLToPath(new URL('./worker.ts', import.meta.url))], {
    env: {
      PATH: process.env.PATH,
      GCE_METADATA_HOST: sidecar,
      GCE_METADATA_IP: sidecar,
      METADATA_SERVER_DETECTION: 'assume-present',
      GOOGLE_CLOUD_PROJECT: 'any',
      CLOUDSDK_CONFIG: '/nonexistent',
      NO_PROXY: '127.0.0.1,localhost',
      YOUTUBE_API: options.api,
      UPLOAD: options.upload ? 'yes' : 'no',
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let said = '';
  let complaint = '';
  child.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (complaint += chunk.toString()));
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => {
      if (code === 0)
        return resolve(
          said
            .trim()
            .split('\n')
            .map((line) => JSON.parse(line) as WorkerLine),
        );
      reject(new DemoError(`The worker failed:\n${complaint.trim().slice(-600)}`, 'The logs are in .data/demo-logs.'));
    });
  });
}
