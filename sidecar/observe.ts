/**
 * What happens on the local interfaces, told to whoever counts it: the metrics on the operations port implement
 * `ServingObserver`. It is called on every request, so it takes plain arguments and keeps none of them.
 */

/** How a worker asks; the Unix socket and TCP are both `native`. */
export type LocalInterface = 'native' | 'gce' | 'credential-file';

/** Whose library asks, by its `User-Agent`; a label and never a reason to decide anything. */
export type ClientLanguage = 'node' | 'python' | 'go' | 'java' | 'other';

/** Where an answer came from: `stale` is a token from memory that the broker could not replace; `none` where there is no token in it. */
export type AnswerSource = 'memory' | 'broker' | 'stale' | 'none';

export interface ServingObserver {
  /** A request was answered. `code` is `ok` or the stable code of the refusal. */
  answered(on: LocalInterface, code: string, language: ClientLanguage, source: AnswerSource): void;
  /** The other end of a new connection was looked up; `found` is false where the system did not say who it is. */
  attested(found: boolean, milliseconds: number): void;
  /** A worker reported a token that got 401: `replaced`, `kept` (the broker has no other), `unknown` (not the one held), `limited`. */
  rejected(outcome: 'replaced' | 'kept' | 'unknown' | 'limited'): void;
}

/** Counts nothing. */
export const noObserver: ServingObserver = { answered() {}, attested() {}, rejected() {} };

const languages: readonly [beginning: RegExp, language: ClientLanguage][] = [
  [/^(node|google-api-nodejs-client|undici|gaxios)/i, 'node'],
  [/^(python|google-auth|gcloud-python)/i, 'python'],
  [/^(Go-http-client|gcloud-golang|google-api-go)/i, 'go'],
  [/^(Java|Google-HTTP-Java-Client)/i, 'java'],
];

/** Reads the language from the `User-Agent` header. */
export function languageOf(userAgent: string): ClientLanguage {
  return languages.find(([beginning]) => beginning.test(userAgent))?.[1] ?? 'other';
}
