#!/usr/bin/env node
/** The `broker` command. The only file of the broker that reads the environment. */
import { readFileSync } from 'node:fs';
import process from 'node:process';
import { createCli } from './cli/cli.ts';
import { loadOperatorConfig } from './config.ts';

const environment = process.env;
const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
  version: string;
};

// What only some commands need is loaded by them: an admin's command talks to the API and is there at once.
const processes = () => import('./serve.ts');
const operator = async () =>
  (await import('./operator.ts')).createOperator(loadOperatorConfig(environment), environment.HOME ?? '');

const run = createCli({
  environment,
  streams: process,
  version,
  interrupted: () => {
    const interrupt = new AbortController();
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => interrupt.abort());
    return interrupt.signal;
  },
  processes: {
    serve: async () => (await processes()).serve(environment, version),
    migrate: async () => (await processes()).migrate(environment),
    retention: {
      plan: async () => (await processes()).planRetention(environment),
      run: async (onRun) => (await processes()).runRetention(environment, onRun),
    },
    prune: {
      plan: async () => (await processes()).planPrune(environment),
      run: async (onBatch) => (await processes()).runPrune(environment, onBatch),
    },
  },
  vault: {
    plan: async () => (await operator()).plan(),
    apply: async (onStep) => (await operator()).apply(onStep),
    planLogin: async (login) => (await operator()).planLogin(login),
    applyLogin: async (login, onStep) => (await operator()).applyLogin(login, onStep),
    addWorkload: async (...workload) => (await operator()).addWorkload(...workload),
    destroyTenantKey: async (tenant) => (await operator()).destroyTenantKey(tenant),
    tenantKeyPath: async (tenant) => (await operator()).tenantKeyPath(tenant),
    issueCredential: async (role) => (await operator()).issueCredential(role),
    issueWrappedCredential: async (...wish) => (await operator()).issueWrappedCredential(...wish),
  },
});
process.exitCode = await run(process.argv.slice(2));
