/** What every request is given before anything else: an id to find it by, and the client's address. */
import type { NextFunction, Request, Response } from 'express';
import type { NewRequestId } from '../domain/request-id.ts';
import type { ClientIp } from './client-ip.ts';

export interface RequestContext {
  /** Begins with what the caller gave as `X-Request-Id`, where that is harmless; answered in the same header. */
  readonly requestId: string;
  readonly ip: string | undefined;
  readonly userAgent: string | undefined;
  /** From `X-Audit-Reason`: percent-encoded UTF-8, at most 256 characters. */
  readonly reason?: string | undefined;
}

/** Comes first of all handlers. */
export function createRequestContext(deps: { clientIp: ClientIp; newRequestId: NewRequestId }) {
  return (request: Request, response: Response, next: NextFunction): void => {
    const requestId = deps.newRequestId(request.get('x-request-id'));
    const context: RequestContext = {
      requestId,
      ip: deps.clientIp(request.socket.remoteAddress, request.headers),
      userAgent: request.get('user-agent')?.slice(0, 256),
      reason: reasonOf(request.get('x-audit-reason')),
    };
    response.locals.context = context;
    response.set('X-Request-Id', requestId);
    next();
  };
}

function reasonOf(header: string | undefined): string | undefined {
  try {
    return decodeURIComponent(header ?? '').slice(0, 256) || undefined;
  } catch {
    return undefined;
  }
}

/** The context of the request that this response answers. */
export function contextOf(response: Response): RequestContext {
  return response.locals.context as RequestContext;
}
