/**
 * `POST /v1/channels/{id}/rejected` with `{"token_sha256":"…"}`: a worker tells that YouTube answered 401 to a token. The
 * token is named by its SHA-256, so that a report gives nothing away and only somebody who had the token can make one.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import * as z from 'zod';
import { sidecarError } from '../errors.ts';
import { createAnswer } from './answer.ts';
import { readBody } from './body.ts';
import { JSON_TYPE } from './channels.ts';
import type { Desk, EndpointOptions } from './desk.ts';
import { asSidecarError } from './errors.ts';

const report = z.strictObject({ token_sha256: z.string().regex(/^[0-9a-f]{64}$/i) });

/** Makes the server of these requests. */
export function createRejectedEndpoint(
  desk: Desk,
  { tokens, observer, log }: Pick<EndpointOptions, 'tokens' | 'observer' | 'log'>,
) {
  const settle = async (request: IncomingMessage, channelId: string): Promise<string> => {
    const sha256 = readReport(await readBody(request));
    const outcome = await tokens.reject(channelId, sha256);
    log.info({ channel: channelId, outcome }, 'a worker reported a token that got 401');
    observer.rejected(outcome);
    return outcome;
  };

  return (request: IncomingMessage, response: ServerResponse, channelId: string): void =>
    desk.allow(request, response, channelId, () => {
      settle(request, channelId).then(
        (outcome) => desk.give(request, response, createAnswer(JSON_TYPE, `${JSON.stringify({ outcome })}\n`)),
        (error: unknown) => {
          const refusal = asSidecarError(error, log);
          if (refusal.code === 'REPORTED_TOO_OFTEN') observer.rejected('limited');
          desk.refuse(request, response, refusal);
        },
      );
    });
}

function readReport(body: string): string {
  try {
    return report.parse(JSON.parse(body)).token_sha256.toLowerCase();
  } catch (cause) {
    throw sidecarError('INVALID_REQUEST', { cause });
  }
}
