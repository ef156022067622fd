/**
 * The stages on which Google's libraries are tried: sidecars in each state that a worker can meet, each with channels of
 * their own, so that the tests of a file share them and run side by side.
 */
import { join } from 'node:path';
import { BrokerError, type ErrorCode } from '../../broker/errors.ts';
import { atEnd, type Scope, useFolder } from '../support/scope.ts';
import { isReady, type RunningSidecar, readToken, until, useSidecar } from '../support/sidecar.ts';
import { type TokenScript, tokenFor, useTokenServer } from '../support/token-server.ts';
import { useSetUpVault } from '../support/vault-set-up.ts';
import { fileEnvironment, requestLog, workerEnvironment } from './worker.ts';

/** How a worker finds its tokens. */
export type Route = 'metadata port' | 'credential file';
export const routes: readonly Route[] = ['metadata port', 'credential file'];

/** What goes wrong. */
export interface Failure {
  /** As in `where …`. */
  readonly where: string;
  /** What people read. */
  readonly code: string;
  /** Whether it passes: then Google's libraries may try again. */
  readonly passes: boolean;
  readonly stage: 'usual' | 'starting' | 'cut off' | 'run wild';
  readonly broker?: ErrorCode;
  /** Asked for; a credential file's route sends none. */
  readonly scopes?: readonly string[];
  readonly routes?: readonly Route[];
}

export const failures: readonly Failure[] = [
  ...(['RECONSENT_REQUIRED', 'CHANNEL_REVOKED', 'CHANNEL_SUSPENDED', 'ACCESS_DENIED'] as const).map((code) => ({
    where: `the broker says ${code}`,
    code,
    passes: false,
    stage: 'usual' as const,
    broker: code,
  })),
  {
    where: 'a scope was not granted',
    code: 'SCOPE_NOT_GRANTED',
    passes: false,
    stage: 'usual',
    scopes: ['drive'],
    routes: ['metadata port'],
  },
  { where: 'Vault is sealed', code: 'VAULT_SEALED', passes: true, stage: 'usual', broker: 'VAULT_SEALED' },
  { where: 'the sidecar is starting', code: 'STARTING', passes: true, stage: 'starting' },
  { where: 'the broker does not answer', code: 'BROKER_UNREACHABLE', passes: true, stage: 'cut off' },
  { where: 'the worker has run wild', code: 'TOO_MANY_REQUESTS', passes: true, stage: 'run wild' },
];

/** A place where one worker asks. */
export interface Place {
  readonly channel: string;
  /** The environment of a worker by this route. */
  readonly environment: Readonly<Record<string, string>>;
  /** What reached the sidecar from it: paths, in order. */
  readonly requests: readonly string[];
  /** What the broker answers for the channel. */
  answer(script: TokenScript): void;
  /** How often the broker was asked. */
  brokerCalls(): number;
}

/** Where nobody listens. */
const NOBODY = '127.0.0.1:1';

/** Starts the sidecars; `places` is how many workers will ask each by each route. */
export async function useStages(scope: Scope, places = 24) {
  const vault = await useSetUpVault(scope);
  const broker = await useTokenServer(scope, vault);
  const scripts = new Map<string, TokenScript>();
  broker.answer((call) => (scripts.get(call.channel) ?? (() => tokenFor(3_600)))(call));

  const channelsOf = (stage: string, count: number) =>
    Array.from({ length: count }, (_, at) => `ch_${stage.replace(' ', '-')}-${at}`);
  const start = async (stage: string, count: number, change: Partial<Parameters<typeof useSidecar>[1]> = {}) => {
    const channels = channelsOf(stage, count);
    const settings = {
      SIDECAR_GCE_CHANNELS: channels.map((channel) => `${channel}=0`).join(),
      SIDECAR_CREDENTIAL_FILES: channels.join(),
      SIDECAR_CREDENTIAL_FOLDER: join(await useFolder(scope), stage),
      ...change.settings,
    };
    return useSidecar(scope, { vault, broker: broker.address, workload: 'uploads', ...change, settings });
  };

  let frozenAt: number | undefined;
  const usual = await start('usual', places);
  const starting = await start('starting', 2, { settings: { VAULT_ADDR: `http://${NOBODY}` } });
  const cutOff = await start('cut off', 2, { broker: NOBODY });
  // Its time stands still once the turns are used up, so that none comes back.
  const runWild = await start('run wild', 2, {
    settings: { SIDECAR_REQUESTS_PER_SECOND: '1' },
    dependencies: { now: () => frozenAt ?? Date.now() },
  });
  await isReady(usual);
  // The first call of a process is slow, on a busy machine slower than a library's patience: it is made here.
  const [first = ''] = usual.gceUrls.keys();
  await until(async () => (await readToken(usual, first)).status === 200);
  await until(() => cutOff.log.some(({ message }) => message === 'new certificate'));
  frozenAt = Date.now();
  while ((await fetch(`${runWild.url}/v1/channels`, { headers: { 'X-Sidecar-Request': 'true' } })).ok);

  const sidecars: Record<Failure['stage'], RunningSidecar> = {
    usual,
    starting,
    'cut off': cutOff,
    'run wild': runWild,
  };
  // The first channel of the usual stage has a token already.
  const taken = new Map<string, number>([['usual', 1]]);

  /** A channel that nobody else uses. */
  const place = (route: Route, stage: Failure['stage'] = 'usual'): Place => {
    const sidecar = sidecars[stage];
    const at = taken.get(stage) ?? 0;
    taken.set(stage, at + 1);
    const channel = [...sidecar.gceUrls.keys()][at];
    if (channel === undefined) throw new Error(`there are no more channels: ${stage}`);
    const gceUrl = sidecar.gceUrls.get(channel) ?? '';
    const isPort = route === 'metadata port';
    const requests: string[] = [];
    const log = requestLog(isPort ? gceUrl : sidecar.url, (path) => {
      if (isPort || path.includes(channel)) requests.push(path);
    });
    atEnd(scope, log.end);
    return {
      channel,
      environment: isPort ? workerEnvironment(gceUrl) : fileEnvironment(sidecar.credentialFiles.get(channel) ?? ''),
      requests,
      answer: (script) => void scripts.set(channel, script),
      brokerCalls: () => broker.calls.filter((call) => call.channel === channel).length,
    };
  };

  /** A place where this goes wrong. */
  const failingPlace = (route: Route, failure: Failure): Place => {
    const found = place(route, failure.stage);
    const { broker: code } = failure;
    if (code)
      found.answer(() => {
        throw new BrokerError(code, failure.passes ? { retryAfter: 30 } : {});
      });
    return found;
  };
  return { place, failingPlace };
}
