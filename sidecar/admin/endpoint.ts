/**
 * What the owner of a running sidecar may have it do, on a Unix socket of its own: look, rotate the certificate, drop
 * tokens, stop. Nothing here gives a token.
 */
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import { createAnswer, sendAnswer } from '../endpoints/answer.ts';
import { IdentityError } from '../identity-error.ts';
import type { Log } from '../log.ts';
import type { Health } from '../operations/health.ts';
import type { SvidSource } from '../svid-source.ts';
import type { TokenSource } from '../token-source.ts';
import type { AdminStatus } from './status.ts';

export interface AdminOptions {
  readonly health: Health;
  readonly svids: Pick<SvidSource, 'current' | 'rotate'>;
  readonly tokens: Pick<TokenSource, 'list' | 'drop'>;
  /** Has the whole sidecar stop, as SIGTERM does. */
  readonly quit: () => void;
  readonly log: Log;
}

const CHANNEL = /^[A-Za-z0-9_-]{1,64}$/;

export function createAdminEndpoint(options: AdminOptions): RequestListener {
  const acts: Readonly<Record<string, (query: URLSearchParams) => Promise<readonly [status: number, body: object]>>> = {
    'GET /v1/status': async () => [200, await statusOf(options)],
    async 'POST /v1/rotate'() {
      options.log.info({}, 'an admin asks for a new certificate');
      try {
        await options.svids.rotate();
      } catch (error) {
        if (!(error instanceof IdentityError)) throw error;
        return [503, { error: { code: error.code, message: error.message, next: error.next } }];
      }
      return [200, await statusOf(options)];
    },
    async 'POST /v1/drop'(query) {
      const channels = query.getAll('channel');
      if (!channels.every((channel) => CHANNEL.test(channel))) return [400, { error: { code: 'INVALID_REQUEST' } }];
      const dropped = options.tokens.drop(channels.length > 0 ? channels : undefined);
      options.log.info({ dropped }, 'an admin has dropped tokens');
      return [200, { dropped }];
    },
    async 'POST /v1/quit'() {
      options.log.info({}, 'an admin has the sidecar stop');
      options.quit();
      return [202, { stopping: true }];
    },
  };

  return (request, response) => {
    const { pathname, searchParams } = new URL(`http://sidecar${request.url}`);
    const act = acts[`${request.method} ${pathname}`];
    void (act ? act(searchParams) : Promise.resolve([404, { error: { code: 'NOT_FOUND' } }] as const)).then(
      ([status, body]) => answer(request, response, status, body),
      () => answer(request, response, 500, { error: { code: 'INTERNAL' } }),
    );
  };
}

async function statusOf({ health, svids, tokens }: AdminOptions): Promise<AdminStatus> {
  const svid = svids.current();
  const obstacles = await health.obstacles();
  return {
    ready: obstacles.length === 0,
    obstacles,
    degraded: health.troubles(),
    certificate: svid && { spiffe_id: svid.spiffeId.uri, serial: svid.serial, ends_at: svid.notAfter.toISOString() },
    tokens: tokens.list().map(({ channelId, served, problem }) => ({
      channel: channelId,
      ...(served && { ends_at: new Date(served.token.expiresAt).toISOString() }),
      ...(problem !== undefined && { problem }),
    })),
  };
}

function answer(request: IncomingMessage, response: ServerResponse, status: number, body: object): void {
  request.resume();
  sendAnswer(response, status, createAnswer({ 'Content-Type': 'application/json' }, `${JSON.stringify(body)}\n`));
}
