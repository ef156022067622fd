/**
 * Reading a token that is in the cache, with everything that belongs to it: who calls, who is shut out, rule and state from
 * PostgreSQL, the token from the broker's memory, the audit record durable in PostgreSQL before the answer. Against an answer of
 * the same size that bare grpc-js gives over the same TLS, without asking anything. The load comes from this process, the same
 * for both; each server is a process of its own.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { createCertificateAuthority } from '../../broker/vault/server-certificate.ts';
import { createKeyAndCsr } from '../../identity/svid.ts';
import { brokerSpiffeId } from '../../vault-policies/layout.ts';
import type { BareGrpcCall } from '../support/bare-grpc-process.ts';
import { useMachine } from '../support/held-brokers.ts';
import { useOwnPostgres } from '../support/postgres.ts';
import { useRedis } from '../support/redis.ts';
import type { Scope } from '../support/scope.ts';
import { migratedDatabase } from '../support/store.ts';
import { useOwnVault } from '../support/vault.ts';
import { type SetUpVault, useSetUpVault } from '../support/vault-set-up.ts';
import { type TestWorkload, useWorkload } from '../support/workload.ts';
import { useWorld } from '../support/world.ts';
import type { Bench } from './harness/bench.ts';

const connections = 4;
const readersOfEach = 16;
const warmForMs = 500;
const readForMs = 4_000;

export const bench: Bench = {
  title: `GetAccessToken from a warm cache, audited, against bare grpc-js over the same mutual TLS; ${connections} connections of ${readersOfEach} calls at a time.`,
  unit: 'ratio to bare grpc-js',
  goal: 0.7,
  rounds: 5,
  async prepare(scope) {
    const [own, postgres, redis] = await Promise.all([useOwnVault(scope), useOwnPostgres(scope), useRedis(scope)]);
    const vault = await useSetUpVault(scope, own);
    const databaseUrl = await migratedDatabase(postgres.url('postgres'));
    const settings = { BROKER_LOG_LEVEL: 'warn' };
    const world = await useWorld(scope, { vault, databaseUrl, redisUrl: redis.url, settings });
    const channel = await world.connectedChannel();
    const machine = await useMachine(scope, {
      vault,
      google: world.google,
      databaseUrl,
      redisUrl: redis.url,
      settings,
    });
    const { grpcPort } = await machine.start();
    const at = (port: number, reads: readonly string[]) =>
      Promise.all(
        Array.from({ length: connections }, () =>
          useWorkload(scope, { ...world, broker: { ...world.broker, grpcPort: port } }, { reads }),
        ),
      );
    const workloads = await at(grpcPort, [channel]);
    const answer = await (workloads[0] as TestWorkload).getAccessToken({ channelId: channel });
    const bare = await at(await useBareGrpc(scope, vault, answer), []);

    async function read(readers: readonly TestWorkload[]): Promise<number> {
      const over = (until: number, each: TestWorkload) => async () => {
        let count = 0;
        for (; performance.now() < until; count += 1) await each.getAccessToken({ channelId: channel });
        return count;
      };
      const all = async (ms: number) => {
        const end = performance.now() + ms;
        const counts = await Promise.all(
          readers.flatMap((each) => Array.from({ length: readersOfEach }, () => over(end, each)())),
        );
        return counts.reduce((sum, count) => sum + count, 0);
      };
      await all(warmForMs);
      const begun = performance.now();
      return ((await all(readForMs)) * 1_000) / (performance.now() - begun);
    }

    return {
      subject: { name: 'audited reads', unit: 'calls/s', run: () => read(workloads) },
      baseline: { name: 'bare grpc-js', unit: 'calls/s', run: () => read(bare) },
    };
  },
};

/** Answers the port of a bare server that always gives this answer. */
async function useBareGrpc(scope: Scope, vault: SetUpVault, answer: BareGrpcCall['answer']): Promise<number> {
  const authority = createCertificateAuthority({ vault: await vault.asBroker(), pki: vault.layout.mounts.pki });
  const { privateKeyPem, csrPem } = await createKeyAndCsr();
  const uriSan = brokerSpiffeId(vault.layout.trustDomain);
  const { certificatePem } = await authority.signCertificate({ role: 'broker', csrPem, uriSan });
  const child = fork(fileURLToPath(new URL('../support/bare-grpc-process.ts', import.meta.url)), { execArgv: [] });
  scope.after(async () => void child.kill('SIGKILL'));
  child.send({
    privateKeyPem,
    certificatePem,
    bundlePem: await authority.trustBundle(),
    answer,
  } satisfies BareGrpcCall);
  const [port] = (await once(child, 'message')) as [number];
  return port;
}
