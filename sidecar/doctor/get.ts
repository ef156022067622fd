/** One GET on this machine: no proxy, no redirect, a deadline, a small answer. */
import { request } from 'node:http';

export interface Got {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly text: string;
}

const DEADLINE_MS = 3_000;
const LARGEST = 65_536;

/** Answers undefined where nobody answers as HTTP servers do. */
export function get(url: string, headers: Readonly<Record<string, string>> = {}): Promise<Got | undefined> {
  return new Promise((resolve) => {
    const asked = request(url, { headers, agent: false, signal: AbortSignal.timeout(DEADLINE_MS) });
    const nobody = () => resolve(undefined);
    asked.on('error', nobody);
    asked.on('response', (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('error', nobody);
      response.on('data', (part: string) => {
        text += part;
        if (text.length > LARGEST) asked.destroy();
      });
      response.on('close', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, text }));
    });
    asked.end();
  });
}
