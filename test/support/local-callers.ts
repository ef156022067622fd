/** What a local interface is made of beside its tokens, as the sidecar itself puts it together: for tests of one interface. */
import { DEFAULT_CALLERS, parseAllowList } from '../../sidecar/callers/allow-list.ts';
import { createCallRate } from '../../sidecar/callers/call-rate.ts';
import { createCallers } from '../../sidecar/callers/callers.ts';
import { createReleaseLog } from '../../sidecar/callers/release-log.ts';
import { findersOfThisSystem } from '../../sidecar/callers/this-system.ts';
import type { Facts } from '../../sidecar/log.ts';
import type { ServingObserver } from '../../sidecar/observe.ts';
import type { TokenSource } from '../../sidecar/token-source.ts';

export interface LocalParts {
  /** As the setting. */
  readonly allowed?: string;
  readonly requestsPerSecond?: number;
  /** Milliseconds since 1970. */
  readonly now?: () => number;
}

/** Makes them, with what they write down. */
export function endpointParts(tokens: TokenSource, options: LocalParts = {}) {
  const { allowed = DEFAULT_CALLERS, requestsPerSecond = 1_000, now = Date.now } = options;
  const counted: string[] = [];
  const lines: string[] = [];
  const logged: (Facts & { readonly message: string })[] = [];
  const note = (facts: Facts, message: string) => void logged.push({ ...facts, message });
  const observer: ServingObserver = {
    answered: (on, code, language, source) => void counted.push(`${on} ${code} ${language} ${source}`),
    attested: (found) => void counted.push(found ? 'attested' : 'unknown peer'),
    rejected: (outcome) => void counted.push(`rejected ${outcome}`),
  };
  const allowList = parseAllowList(allowed, process.getuid?.() ?? 0);
  const callers = createCallers({
    allowList,
    rate: createCallRate(requestsPerSecond),
    ...findersOfThisSystem(allowList, () => performance.now()),
    observer,
    monotonic: () => performance.now(),
  });
  const releases = createReleaseLog({ write: (text) => void lines.push(...text.trimEnd().split('\n')), now });
  const log = { info: note, warn: note, error: note };
  return { parts: { tokens, callers, releases, observer, log, now }, releases, counted, lines, logged };
}
