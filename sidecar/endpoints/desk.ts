/**
 * Serves a request that is in order: who asks, may he have this channel's tokens, does he ask too often; then from
 * memory, else from the broker. Each release is noted before it is answered, and every answer is counted. The three
 * interfaces differ in how they read a request and in how they write an answer.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { type Caller, describe } from '../callers/caller.ts';
import type { Callers } from '../callers/callers.ts';
import type { ReleaseLog } from '../callers/release-log.ts';
import { createSeldom } from '../callers/seldom.ts';
import { type SidecarError, sidecarError } from '../errors.ts';
import type { Log } from '../log.ts';
import { type AnswerSource, type LocalInterface, languageOf, type ServingObserver } from '../observe.ts';
import type { TokenWish } from '../token-policy.ts';
import type { ServedToken, TokenSource } from '../token-source.ts';
import { type Answer, createMemo, sendAnswer } from './answer.ts';
import { asSidecarError } from './errors.ts';

const TELL_REFUSED_EVERY_MS = 60_000;

/** What every local interface is made of. */
export interface EndpointOptions {
  readonly tokens: TokenSource;
  readonly callers: Callers;
  readonly releases: Pick<ReleaseLog, 'note'>;
  readonly observer: ServingObserver;
  readonly log: Log;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

/** Something that needs the channel's token; made once for requests that are the same. */
export interface Ask {
  readonly wish: TokenWish;
  /** Whether the token itself is in the answer. */
  readonly releases: boolean;
  answerOf(served: ServedToken, now: number): Answer;
}

export interface Desk {
  /** Answers what needs no token. */
  give(request: IncomingMessage, response: ServerResponse, answer: Answer): void;
  refuse(request: IncomingMessage, response: ServerResponse, error: SidecarError): void;
  /** Goes on with who asks; at once where the connection is known. Too many requests are refused. */
  admit(request: IncomingMessage, response: ServerResponse, then: (caller: Caller) => void): void;
  /** Goes on where the caller may have the channel's tokens. */
  allow(request: IncomingMessage, response: ServerResponse, channelId: string, then: (caller: Caller) => void): void;
  /** Answers with the channel's token, where the caller may have it. */
  ask(request: IncomingMessage, response: ServerResponse, ask: Ask): void;
  /** Answers with the channel's token to a caller who was allowed. */
  serve(request: IncomingMessage, response: ServerResponse, caller: Caller, ask: Ask): void;
}

/** @param answerError How this interface writes a refusal. */
export function createDesk(
  on: LocalInterface,
  { tokens, callers, releases, observer, log, now }: EndpointOptions,
  answerError: (error: SidecarError, request: IncomingMessage) => Answer,
): Desk {
  const language = createMemo(languageOf);
  const isNews = createSeldom(TELL_REFUSED_EVERY_MS, now);
  const answered = (request: IncomingMessage, code: string, source: AnswerSource): void =>
    observer.answered(on, code, language(request.headers['user-agent'] ?? ''), source);

  const give = (request: IncomingMessage, response: ServerResponse, answer: Answer): void => {
    answered(request, 'ok', 'none');
    sendAnswer(response, 200, answer);
  };

  const refuse = (request: IncomingMessage, response: ServerResponse, error: SidecarError): void => {
    answered(request, error.code, 'none');
    sendAnswer(response, error.http, answerError(error, request));
  };

  const admit = (request: IncomingMessage, response: ServerResponse, then: (caller: Caller) => void): void => {
    const go = (caller: Caller): void => {
      if (caller.takeTurn(now())) then(caller);
      else refuse(request, response, sidecarError('TOO_MANY_REQUESTS', { retryAfter: 1 }));
    };
    const known = callers.known(request.socket);
    if (known) go(known);
    else void callers.find(request.socket).then(go);
  };

  const allow = (
    request: IncomingMessage,
    response: ServerResponse,
    channelId: string,
    then: (caller: Caller) => void,
  ): void =>
    admit(request, response, (caller) => {
      if (caller.mayRead(channelId)) return then(caller);
      const who = describe(caller);
      if (isNews(`${channelId} ${who}`))
        log.warn({ channel: channelId, interface: on, caller: who }, 'a local caller was refused');
      if (caller.uid === undefined && !caller.socket) return refuse(request, response, sidecarError('CALLER_UNKNOWN'));
      refuse(request, response, sidecarError('CALLER_REFUSED', { detail: `It calls as ${who}.` }));
    });

  const hand = (
    request: IncomingMessage,
    response: ServerResponse,
    caller: Caller,
    { wish, releases: isRelease, answerOf }: Ask,
    served: ServedToken,
    source: AnswerSource,
  ): void => {
    if (isRelease && request.method !== 'HEAD') releases.note(on, caller, wish, served);
    answered(request, 'ok', served.stale === undefined ? source : 'stale');
    sendAnswer(response, 200, answerOf(served, now()));
  };

  const serve = (request: IncomingMessage, response: ServerResponse, caller: Caller, ask: Ask): void => {
    const held = tokens.held(ask.wish);
    if (held) hand(request, response, caller, ask, held, 'memory');
    else
      void tokens.read(ask.wish).then(
        (served) => hand(request, response, caller, ask, served, 'broker'),
        (error: unknown) => refuse(request, response, asSidecarError(error, log)),
      );
  };

  return {
    give,
    refuse,
    admit,
    allow,
    serve,
    ask: (request, response, ask) =>
      allow(request, response, ask.wish.channelId, (caller) => serve(request, response, caller, ask)),
  };
}
