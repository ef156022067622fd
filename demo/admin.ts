/** Does what an admin does, as an admin does it: by the `broker` command, with a Vault login, over the REST API. */
import { execFile } from 'node:child_process';
import { brokerMain } from './parts.ts';
import { DemoError } from './settings.ts';
import type { Teller } from './teller.ts';

export interface Admin {
  /** Runs one command, telling it; answers what it printed with `-o json`. */
  broker<T>(...args: string[]): Promise<T>;
  /** The same for a command that answers in words. */
  brokerSays(...args: string[]): Promise<string>;
  /** The same without telling it. */
  quietly<T>(...args: string[]): Promise<T>;
  /** Adds an OAuth client, its secret on stdin. */
  addOAuthClient(name: string, client: { readonly id: string; readonly secret: string }): Promise<void>;
}

/** @param login what the command takes from the environment: BROKER_URL, VAULT_ADDR, VAULT_TOKEN … */
export function createAdmin(teller: Teller, login: Readonly<Record<string, string>>): Admin {
  function run(args: readonly string[], stdin = ''): Promise<string> {
    return new Promise((resolve, reject) => {
      const env = { PATH: process.env.PATH, NO_COLOR: '1', ...login };
      const child = execFile(process.execPath, [brokerMain, ...args], { env }, (error, stdout, stderr) => {
        if (!error) return resolve(stdout || stderr);
        reject(
          new DemoError(`\`broker ${args.join(' ')}\` failed:\n${stderr.trim()}`, 'The logs are in .data/demo-logs.'),
        );
      });
      child.stdin?.end(stdin);
    });
  }

  return {
    async broker<T>(...args: string[]): Promise<T> {
      teller.command(`broker ${args.map(quoted).join(' ')}`);
      return JSON.parse(await run([...args, '-o', 'json'])) as T;
    },
    quietly: async <T>(...args: string[]) => JSON.parse(await run([...args, '-o', 'json'])) as T,
    async addOAuthClient(name, { id, secret }) {
      const args = ['oauth-client', 'add', name, '--client-id', id, '--secret-file', '-'];
      teller.command(`broker ${args.join(' ')}`);
      teller.say('The client’s secret goes in on standard input, and on to Vault.');
      await run(args, secret);
    },
    async brokerSays(...args) {
      teller.command(`broker ${args.map(quoted).join(' ')}`);
      return run(args);
    },
  };
}

function quoted(argument: string): string {
  return /^[\w@%+=:,./-]+$/.test(argument) ? argument : `'${argument}'`;
}
