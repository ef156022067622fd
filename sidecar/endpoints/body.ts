import type { IncomingMessage } from 'node:http';
import { sidecarError } from '../errors.ts';
import { LONGEST_BODY } from './local-request.ts';

/**
 * Reads the body of a POST, which is short.
 *
 * @throws SidecarError BODY_REFUSED where it is longer than it said, INVALID_REQUEST where it breaks off.
 */
export async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let length = 0;
  try {
    for await (const chunk of request as AsyncIterable<Buffer>) {
      length += chunk.length;
      if (length > LONGEST_BODY) throw sidecarError('BODY_REFUSED');
      chunks.push(chunk);
    }
  } catch (cause) {
    throw length > LONGEST_BODY ? cause : sidecarError('INVALID_REQUEST', { cause });
  }
  return Buffer.concat(chunks).toString('utf8');
}
