/** GetAccessToken and Subscribe on the wire: identity → flow → answer, and every refusal with its stable code. */
import type { ServerUnaryCall, sendUnaryData } from '@grpc/grpc-js';
import { type GetAccessTokenRequest, type GetAccessTokenResponse, toTimestamp } from '../../proto/load.ts';
import { asBrokerError } from '../errors.ts';
import type { createGetAccessToken } from '../flow/get-access-token.ts';
import { type AdmissionDeps, createAdmission } from './admission.ts';
import { toServiceError } from './service-error.ts';
import { createSubscribe, type SubscribeDeps } from './subscribe.ts';

export interface TokenServiceDeps extends AdmissionDeps, Omit<SubscribeDeps, 'admission'> {
  readonly getAccessToken: ReturnType<typeof createGetAccessToken>;
  /** Told how each call of GetAccessToken ended: `ok` or the stable code. */
  readonly onAnswered: (result: string) => void;
  readonly onFault: (error: unknown) => void;
}

type Call = ServerUnaryCall<GetAccessTokenRequest, GetAccessTokenResponse>;

/** So long before the caller's deadline it is answered, with whatever there is. */
const answerAheadMs = 250;
const longestPatienceMs = 60_000;

/** How long the caller still waits; undefined where it has set no deadline. */
function patienceOf(call: Call): (() => number) | undefined {
  const deadline = Number(call.getDeadline());
  if (!Number.isFinite(deadline)) return undefined;
  return () => {
    const leftMs = Math.max(0, deadline - Date.now());
    return Math.min(longestPatienceMs, leftMs - Math.min(answerAheadMs, leftMs / 4));
  };
}

export function createTokenService(deps: TokenServiceDeps) {
  const { getAccessToken, onAnswered, onFault } = deps;
  const admission = createAdmission(deps);

  async function answer(call: Call): Promise<GetAccessTokenResponse> {
    const caller = await admission.admit(call);
    const { channelId, ...wish } = call.request;
    const patienceMs = patienceOf(call);
    const token = await getAccessToken(caller, { channel: channelId, ...wish, patienceMs });
    // It may have taken some time: whoever has been shut out meanwhile gets nothing.
    admission.identify(call);
    return {
      channelId,
      accessToken: token.accessToken.reveal(),
      expiresAt: toTimestamp(token.expiresAt),
      scopes: token.scopes,
      youtubeChannelId: token.youtubeChannelId,
      generation: token.generation,
    };
  }

  return {
    GetAccessToken(call: Call, reply: sendUnaryData<GetAccessTokenResponse>): void {
      answer(call).then(
        (response) => {
          onAnswered('ok');
          reply(null, response);
        },
        (error: unknown) => {
          const refusal = asBrokerError(error);
          onAnswered(refusal.code);
          if (refusal.code === 'INTERNAL') onFault(error);
          reply(toServiceError(refusal));
        },
      );
    },
    Subscribe: createSubscribe({ ...deps, admission }),
  };
}
