/** GetAccessToken on the wire: identity → flow → answer, and every refusal with its stable code. */
import { Metadata, type ServerUnaryCall, type ServiceError, type sendUnaryData, status } from '@grpc/grpc-js';
import {
  ERROR_CODE_KEY,
  type GetAccessTokenRequest,
  type GetAccessTokenResponse,
  RETRY_AFTER_KEY,
  toTimestamp,
} from '../../proto/load.ts';
import { asBrokerError, type BrokerError } from '../errors.ts';
import type { createGetAccessToken } from '../flow/get-access-token.ts';
import type { RecordLogin } from '../flow/record-login.ts';
import type { IdentifyPeer } from './peer.ts';

export interface TokenServiceDeps {
  readonly identifyPeer: IdentifyPeer;
  readonly getAccessToken: ReturnType<typeof createGetAccessToken>;
  readonly recordLogin: RecordLogin;
  /** Audits a peer that could not prove who it is. */
  readonly recordDeniedIdentity: (attempt: {
    ip: string | undefined;
    requestId: string;
    detail: string;
  }) => Promise<void>;
  readonly newRequestId: () => string;
  /** Told how each call ended: `ok` or the stable code. */
  readonly onAnswered: (result: string) => void;
  readonly onFault: (error: unknown) => void;
}

type Call = ServerUnaryCall<GetAccessTokenRequest, GetAccessTokenResponse>;

export function createTokenService(deps: TokenServiceDeps) {
  const { identifyPeer, getAccessToken, onAnswered, onFault } = deps;

  async function answer(call: Call): Promise<GetAccessTokenResponse> {
    const caller = await identified(call);
    const { certificateSerial: certificate } = caller;
    await deps.recordLogin(caller, { id: `${caller.spiffeId} ${certificate}`, facts: { certificate } });
    const { channelId, minTtlSeconds, scopes, reason } = call.request;
    const token = await getAccessToken(caller, { channel: channelId, minTtlSeconds, scopes, reason });
    return {
      channelId,
      accessToken: token.accessToken.reveal(),
      expiresAt: toTimestamp(token.expiresAt),
      scopes: token.scopes,
      youtubeChannelId: token.youtubeChannelId,
    };
  }

  async function identified(call: Call) {
    try {
      return identifyPeer(call);
    } catch (error) {
      const refusal = asBrokerError(error);
      const attempt = { ip: call.getPeer(), requestId: deps.newRequestId(), detail: refusal.detail ?? refusal.code };
      await deps.recordDeniedIdentity(attempt);
      throw refusal;
    }
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
  };
}

/** The code, the table's sentence and the next step; never the detail or the cause. */
function toServiceError(error: BrokerError): Partial<ServiceError> {
  const { row } = error;
  const metadata = new Metadata();
  metadata.set(ERROR_CODE_KEY, error.code);
  if (error.retryAfter !== undefined) metadata.set(RETRY_AFTER_KEY, String(Math.ceil(error.retryAfter)));
  const problems = error.problems.length > 0 ? ` (${error.problems.join('; ')})` : '';
  return { code: status[row.grpc], details: `${row.sentence}${problems} ${row.next}`, metadata };
}
