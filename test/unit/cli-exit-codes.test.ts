/** Scripts go by the exit code: 1 is final, 3 means that the same command can work later. */
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { PassThrough, Readable } from 'node:stream';
import { type TestContext, test } from 'node:test';
import { createCli } from '../../broker/cli/cli.ts';
import { BrokerError, type ErrorCode, errorTable } from '../../broker/errors.ts';
import { startHttpServer } from '../support/http-server.ts';
import { useFolder } from '../support/scope.ts';

/** Runs commands whose every act ends with the error. */
async function failing(t: TestContext, code: ErrorCode, url: string): Promise<ReturnType<typeof createCli>> {
  const tokenFile = join(await useFolder(t), 'alice.jwt');
  await writeFile(tokenFile, 'alice-token');
  const fail = async (): Promise<never> => {
    throw new BrokerError(code);
  };
  return createCli({
    environment: { BROKER_URL: url, BROKER_TOKEN_FILE: tokenFile },
    streams: { stdin: Readable.from([]), stdout: new PassThrough(), stderr: new PassThrough() },
    version: '1.2.3',
    processes: { serve: fail, migrate: fail, retention: { plan: fail, run: fail }, prune: { plan: fail, run: fail } },
    vault: {
      plan: fail,
      apply: fail,
      planLogin: fail,
      applyLogin: fail,
      addWorkload: fail,
      issueCredential: fail,
      issueWrappedCredential: fail,
      destroyTenantKey: fail,
      tenantKeyPath: fail,
    },
  });
}

for (const code of Object.keys(errorTable) as ErrorCode[]) {
  const { http } = errorTable[code];
  const exitCode = http === 503 ? 3 : 1;
  test(`${code} ends a command with ${exitCode}, from the API as from this machine`, async (t) => {
    await using server = await startHttpServer({
      flows: {
        listTenants: async () => {
          throw new BrokerError(code);
        },
      },
    });
    const run = await failing(t, code, server.url);
    assert.equal(await run(['tenant', 'list']), exitCode);
    assert.equal(await run(['vault', 'bootstrap']), exitCode);
  });
}
