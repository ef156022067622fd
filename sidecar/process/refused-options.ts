/**
 * Options of Node.js with which a process shows what it has in memory or sends: inspector, heap snapshots, diagnostic
 * reports, key logs, dumps. The sidecar does not start with them: whoever can set the environment of a process should
 * not be able to read its tokens by that.
 */
import type { Environment } from '../config.ts';

/** Beginnings of names, and what each would show. */
const refused: readonly [beginning: string, shows: string][] = [
  ['inspect', 'opens the inspector, which shows everything in memory'],
  ['debug', 'opens the inspector, which shows everything in memory'],
  ['heapsnapshot', 'writes the memory to a file'],
  ['heap-prof', 'writes a profile of the memory to a file'],
  ['report', 'writes diagnostic reports, which quote errors and the environment'],
  ['abort-on-uncaught-exception', 'dumps the memory to a core file'],
  ['tls-keylog', 'writes the keys of every connection to a file'],
  ['trace-tls', 'prints what is sent over TLS'],
];

/** Environment variables with which Node.js prints the headers that it sends. */
const talkative = ['NODE_DEBUG', 'NODE_DEBUG_NATIVE'];

/**
 * Lists what is wrong with how Node.js was started, one sentence each.
 *
 * @param execArgv The options on the command line of Node.js.
 */
export function refusedOptions(execArgv: readonly string[], environment: Environment): readonly string[] {
  const fromEnvironment = environment.NODE_OPTIONS?.match(/[^\s"']+/g) ?? [];
  return [
    ...execArgv.flatMap((word) => refusalOf(word, 'on the command line of Node.js')),
    ...fromEnvironment.flatMap((word) => refusalOf(word, 'in NODE_OPTIONS')),
    ...talkative.filter((name) => environment[name]).map((name) => `${name} is set: it prints headers with secrets`),
  ];
}

function refusalOf(word: string, place: string): readonly string[] {
  if (!word.startsWith('-')) return [];
  // Node.js takes `_` for `-` in the names of options.
  const name = word.replace(/^-+/, '').replaceAll('_', '-');
  const shows = refused.find(([beginning]) => name.startsWith(beginning))?.[1];
  return shows ? [`--${name.replace(/=.*/, '')} ${place} ${shows}`] : [];
}
