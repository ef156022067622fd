/** What `npm start` can be told by environment and flags. */
import { createServer } from 'node:net';
import { parseArgs } from 'node:util';

export interface Settings {
  /** End after the story instead of staying up. */
  readonly once: boolean;
  readonly ports: {
    readonly broker: number;
    readonly sidecar: number;
    readonly gce: number;
    readonly google: number;
  };
  /** The real Google's client, where one is given; otherwise the practice Google plays its part. */
  readonly realClient: { readonly id: string; readonly secret: string } | undefined;
}

/** A mistake that a sentence explains and the person at the terminal can mend. */
export class DemoError extends Error {
  override readonly name = 'DemoError';
  readonly advice: string;

  constructor(message: string, advice: string, options?: ErrorOptions) {
    super(message, options);
    this.advice = advice;
  }
}

const firstPort = 8180;

export const usage = `npm start                 bring everything up, tell the story, stay up
npm start -- --once       the same, and end; exit code 0 when all went well

DEMO_PORT=${firstPort}                             the first of the four ports that are used
GOOGLE_CLIENT_ID, GOOGLE_CLIENT_SECRET     use the real Google instead of the practice one`;

/** Throws DemoError. */
export function readSettings(args: readonly string[], env: NodeJS.ProcessEnv): Settings & { readonly help: boolean } {
  const { once = false, help = false } = parse(args);
  const first = Number(env.DEMO_PORT ?? firstPort);
  if (!Number.isInteger(first) || first < 1 || first > 65_532) {
    throw new DemoError('DEMO_PORT is not a port.', 'Use a number from 1024 to 65532.');
  }
  return {
    once,
    help,
    ports: { broker: first, sidecar: first + 1, gce: first + 2, google: first + 3 },
    realClient: realClientOf(env.GOOGLE_CLIENT_ID, env.GOOGLE_CLIENT_SECRET),
  };
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({ args: [...args], options: { once: { type: 'boolean' }, help: { type: 'boolean', short: 'h' } } })
      .values;
  } catch (cause) {
    throw new DemoError('That option is not known.', `What there is:\n${usage}`, { cause });
  }
}

function realClientOf(id: string | undefined, secret: string | undefined) {
  if (id && secret) return { id, secret };
  if (!id && !secret) return undefined;
  throw new DemoError(
    `${id ? 'GOOGLE_CLIENT_SECRET' : 'GOOGLE_CLIENT_ID'} is not set.`,
    'Set both to use the real Google, or neither to use the practice one.',
  );
}

/** Throws DemoError for the first port that another program has. */
export async function requireFree(ports: readonly number[]): Promise<void> {
  for (const port of ports) {
    if (await isFree(port)) continue;
    throw new DemoError(
      `Port ${port} is taken by another program.`,
      `Stop that program (perhaps an earlier \`npm start\`), or take other ports: DEMO_PORT=${port + 100} npm start`,
    );
  }
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once('error', () => resolve(false));
    probe.listen(port, '127.0.0.1', () => probe.close(() => resolve(true)));
  });
}
