/**
 * What is asked of every call before anything is done for it: that its request comes in time (a client may open a stream, say
 * nothing on it, and would keep it for ever), and of a service that does not ask who calls by itself, that the caller is let in.
 */
import { ServerInterceptingCall, type ServerInterceptor, type ServerListener, status } from '@grpc/grpc-js';
import { asBrokerError } from '../errors.ts';
import type { IdentifyPeer } from './peer.ts';
import { toServiceError } from './service-error.ts';

export interface RequestGuardDeps {
  /** A request has to be there within this time; it does not bound how long the answer takes. */
  readonly requestMs: number;
  readonly identifyPeer: IdentifyPeer;
  /** Of the service that asks by itself, and records who is refused: `/package.Service/`. */
  readonly exceptFor: string;
}

export function createRequestGuard({ requestMs, identifyPeer, exceptFor }: RequestGuardDeps): ServerInterceptor {
  return ({ path }, call) => {
    const refusal = path.startsWith(exceptFor) ? undefined : refusalOf(() => identifyPeer(call));
    // It is answered when it has begun, as any other is.
    const late = setTimeout(() => call.sendStatus({ code: status.DEADLINE_EXCEEDED, details: tooLate }), requestMs);
    const listener: ServerListener = {
      onReceiveHalfClose(next) {
        clearTimeout(late);
        next();
      },
      onCancel: () => clearTimeout(late),
      ...(refusal && { onReceiveMetadata: () => call.sendStatus(refusal) }),
    };
    return new ServerInterceptingCall(call, { start: (next) => next(listener) });
  };
}

const tooLate = 'The request did not come.';

function refusalOf(identify: () => unknown) {
  try {
    identify();
    return undefined;
  } catch (error) {
    const { code = status.INTERNAL, details = '', metadata = null } = toServiceError(asBrokerError(error));
    return { code, details, metadata };
  }
}
