/** `videos.insert` by the resumable protocol: open a session, send bytes in one or many pieces, ask how far it got. */
import { createHash, type Hash } from 'node:crypto';
import type { Clock } from './clock.ts';
import { ApiError } from './google-api-error.ts';
import { type Answer, type Endpoint, json, type PracticeRequest } from './http.ts';
import type { AccessToken } from './issued.ts';
import type { RandomNames } from './random.ts';
import { videoInsertScopes } from './scopes.ts';
import type { TokenBook } from './tokens.ts';
import { authorizeApiRequest } from './youtube.ts';

/** A video that arrived completely. */
export interface UploadedVideo {
  readonly id: string;
  readonly channelId: string;
  readonly title: string;
  readonly bytes: number;
  /** SHA-256 of the bytes, hex. */
  readonly sha256: string;
  readonly clientId: string;
  /** `sub` of the identity that uploaded. */
  readonly sub: string;
  readonly uploadedAt: number;
}

interface UploadSession {
  readonly owner: AccessToken;
  readonly channelId: string;
  readonly title: string;
  readonly total: number | undefined;
  readonly hash: Hash;
  received: number;
  finished: Answer | undefined;
}

/** The upload side of the practice YouTube. */
export interface VideoUploads {
  /** `POST /upload/youtube/v3/videos?uploadType=resumable&part=…` */
  readonly begin: Endpoint;
  /** `PUT` on the session's address. */
  readonly send: Endpoint;
  readonly videos: readonly UploadedVideo[];
}

/** Creates the upload endpoints; `baseUrl` is the absolute address of `begin`. */
export function createVideoUploads({
  clock,
  names,
  tokens,
  baseUrl,
}: {
  clock: Clock;
  names: RandomNames;
  tokens: TokenBook;
  baseUrl: string;
}): VideoUploads {
  const sessions = new Map<string, UploadSession>();
  const videos: UploadedVideo[] = [];

  function begin(request: PracticeRequest): Answer {
    const owner = authorizeApiRequest(request, tokens, videoInsertScopes);
    const channelId = owner.identity.channels[0]?.id;
    if (channelId === undefined) throw new ApiError('youtubeSignupRequired');
    if (request.query.get('uploadType') !== 'resumable') {
      throw new ApiError('invalidArgument', 'The practice YouTube takes uploadType=resumable only.');
    }
    const session: UploadSession = {
      owner,
      channelId,
      title: readTitle(request),
      total: readLength(request.headers['x-upload-content-length']),
      hash: createHash('sha256'),
      received: 0,
      finished: undefined,
    };
    const id = names.identifier();
    sessions.set(id, session);
    const location = `${baseUrl}?uploadType=resumable&upload_id=${id}`;
    return { status: 200, headers: { location, 'x-guploader-uploadid': id }, body: '' };
  }

  function send(request: PracticeRequest): Answer {
    authorizeApiRequest(request, tokens, videoInsertScopes);
    const session = sessions.get(request.query.get('upload_id') ?? '');
    if (!session) throw new ApiError('notFound');
    if (session.finished) return session.finished;

    const range = readRange(request);
    if (range.start === undefined) return range.total === session.received ? finish(session) : incomplete(session);
    if (range.start !== session.received) return incomplete(session);
    session.hash.update(request.body);
    session.received += request.body.length;
    const total = range.total ?? session.total;
    return session.received === total ? finish(session) : incomplete(session);
  }

  function finish(session: UploadSession): Answer {
    const { channelId, title, owner, received, hash } = session;
    const id = names.videoId();
    videos.push({
      id,
      channelId,
      title,
      bytes: received,
      sha256: hash.digest('hex'),
      clientId: owner.client.clientId,
      sub: owner.identity.sub,
      uploadedAt: clock.now(),
    });
    session.finished = json(200, {
      kind: 'youtube#video',
      id,
      snippet: { channelId, title },
      status: { uploadStatus: 'uploaded', privacyStatus: 'private' },
    });
    return session.finished;
  }

  return { begin, send, videos };
}

function incomplete({ received }: UploadSession): Answer {
  const range: Record<string, string> = received > 0 ? { range: `bytes=0-${received - 1}` } : {};
  return { status: 308, headers: { 'content-length': '0', ...range }, body: '' };
}

function readTitle({ body }: PracticeRequest): string {
  try {
    const metadata = JSON.parse(body.toString('utf8') || '{}') as { snippet?: { title?: unknown } };
    return typeof metadata.snippet?.title === 'string' ? metadata.snippet.title : 'unknown';
  } catch (cause) {
    throw new ApiError('invalidArgument', `The metadata is not JSON: ${cause instanceof Error ? cause.message : ''}`);
  }
}

function readLength(header: string | string[] | undefined): number | undefined {
  return typeof header === 'string' && /^\d+$/.test(header) ? Number(header) : undefined;
}

/** Where the bytes of a `PUT` belong. No `start`: the request asks how far the upload got (bytes * / total). */
function readRange({ headers, body }: PracticeRequest): { start: number | undefined; total: number | undefined } {
  const header = headers['content-range'];
  if (header === undefined) return { start: 0, total: body.length };
  const match = /^bytes (?:\*|(\d+)-(\d+))\/(\*|\d+)$/.exec(header);
  if (!match) throw new ApiError('invalidArgument', 'Invalid Content-Range.');
  const [, first, last, whole] = match;
  const total = whole === undefined || whole === '*' ? undefined : Number(whole);
  if (first === undefined) return { start: undefined, total };
  if (Number(last) - Number(first) + 1 !== body.length) {
    throw new ApiError('invalidArgument', 'Content-Range does not fit the body.');
  }
  return { start: Number(first), total };
}
