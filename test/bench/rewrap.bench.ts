import { Agent, request } from 'node:http';
import { sql } from 'kysely';
import { Secret } from '../../broker/domain/secret.ts';
import { rewrapBatchRows } from '../../broker/flow/rewrap-ciphertexts.ts';
import { createDatabase } from '../../broker/store/database.ts';
import { migrate } from '../../broker/store/migrate.ts';
import { createStore } from '../../broker/store/store.ts';
import { grantContext } from '../../broker/vault/encryption-context.ts';
import { createTenantKeys } from '../../broker/vault/tenant-keys.ts';
import { createKeeper } from '../support/key-keeper.ts';
import { useOwnPostgres } from '../support/postgres.ts';
import { atEnd } from '../support/scope.ts';
import { anActiveChannel, fill } from '../support/store-fixtures.ts';
import { useOwnVault } from '../support/vault.ts';
import { useSetUpVault } from '../support/vault-set-up.ts';
import type { Bench } from './harness/bench.ts';
import { short } from './harness/measure.ts';

const rows = 100_000;
const tenant = 'acme';

/** A refresh token of Google's is about so long. */
const plaintext = new Secret(`1//0${'x'.repeat(99)}`);

export const bench: Bench = {
  title: `Rewrap ${rows.toLocaleString('en')} rows with the key keeper, against bare transit/rewrap requests of the same size`,
  unit: 'ratio to bare transit/rewrap batches',
  goal: 0.7,
  rounds: 5,
  async prepare(scope, tell) {
    const [own, postgres] = await Promise.all([useOwnVault(scope), useOwnPostgres(scope, { durable: true })]);
    const vault = await useSetUpVault(scope, own);
    const { transit } = vault.layout.mounts;
    const url = postgres.url('postgres');
    await migrate({ url, applicationName: 'bench' });
    const database = createDatabase({ url, applicationName: 'bench', statementTimeoutMs: 0 });
    atEnd(scope, () => database.close());
    const store = createStore({ database });
    const keys = createTenantKeys({ vault: await vault.asBroker(), transit });
    await keys.create(tenant);
    await fill(store);

    tell(`filling in ${rows} channels`);
    const { tenant: _, ...place } = { tenant, generation: 1 };
    const bare: Buffer[] = [];
    for (let first = 0; first < rows; first += rewrapBatchRows) {
      const ids = Array.from(
        { length: rewrapBatchRows },
        (_row, index) => `ch_${String(first + index).padStart(26, '0')}`,
      );
      const ciphertexts = await Promise.all(
        ids.map((channel) => keys.encrypt({ ...place, tenant, channel }, plaintext)),
      );
      bare.push(
        Buffer.from(
          JSON.stringify({
            batch_input: ids.map((channel, index) => ({
              ciphertext: ciphertexts[index],
              context: grantContext({ tenant, channel, generation: 1 }),
            })),
          }),
        ),
      );
      await insert(database, ids, ciphertexts);
    }

    // As autovacuum does within a minute: else the first round is planned without statistics.
    await database.run((db) => sql`analyze channels`.execute(db));

    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    atEnd(scope, async () => agent.destroy());
    const post = (body: Buffer) =>
      new Promise<void>((resolve, reject) => {
        const call = request(`${own.address}/v1/${transit}/rewrap/tenant-${tenant}`, {
          method: 'POST',
          agent,
          headers: { 'X-Vault-Token': own.rootToken, 'Content-Length': body.length },
        });
        call.on('error', reject).on('response', (response) => {
          response.resume().on('end', () => (response.statusCode === 200 ? resolve() : reject(new Error('refused'))));
        });
        call.end(body);
      });

    /** Sends all batches, so many at a time. */
    const rewrapBare = (atOnce: number) =>
      timed(async () => {
        const left = bare.values();
        const inTurn = async () => {
          for (const body of left) await post(body);
        };
        await Promise.all(Array.from({ length: atOnce }, inTurn));
      });

    let moved = 0;
    const onRewrapped = (count: number) => {
      moved += count;
    };
    const { keeper } = createKeeper({ store, keys, onRewrapped });
    return {
      subject: {
        name: `key keeper, batches of ${rewrapBatchRows}`,
        unit: 'rows/s',
        async run() {
          await keys.rotate(tenant);
          moved = 0;
          const rate = await timed(() => keeper.runOnce());
          if (moved !== rows) throw new Error(`${moved} rows were moved`);
          return rate;
        },
      },
      baseline: {
        name: `transit/rewrap, batches of ${rewrapBatchRows}, one after the other`,
        unit: 'rows/s',
        run: () => rewrapBare(1),
      },
      notes: async () => [
        'Both have one connection to Vault and one request on it at a time. The keeper also reads the rows, writes each where its ciphertext is still the same, and counts what is left; PostgreSQL syncs to disk.',
        `Two bare requests at a time reach ${short(await rewrapBare(2))} rows/s here. The keeper has no second one, so that a rewrap takes no more of Vault than that from those who wait for a token.`,
      ],
    };
  },
};

async function timed(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await work();
  return (rows * 1_000) / (performance.now() - start);
}

async function insert(
  database: ReturnType<typeof createDatabase>,
  ids: readonly string[],
  ciphertexts: readonly string[],
): Promise<void> {
  const channel = anActiveChannel();
  const { grant } = channel;
  if (!grant) throw new Error('the fixture has a grant');
  await database.run((db) =>
    db
      .insertInto('channels')
      .values(
        ids.map((id, index) => ({
          id,
          tenant,
          name: id,
          region: channel.region,
          oauth_client: channel.oauthClient,
          state: 'active' as const,
          reason: 'consented' as const,
          owner: channel.owner,
          admins: channel.admins,
          requested_scopes: channel.requestedScopes,
          generation: 1,
          refresh_token_encrypted: ciphertexts[index] ?? '',
          refresh_token_hash: `hash-${id}`,
          scopes: grant.scopes,
          consented_at: grant.consentedAt,
          google_subject: grant.googleSubject,
          youtube_channel_id: grant.youtubeChannelId,
          youtube_title: grant.youtubeTitle,
          refresh_due_at: grant.refreshDueAt ?? null,
          refresh_failures: 0,
          created_at: channel.createdAt,
          updated_at: channel.updatedAt,
        })),
      )
      .execute(),
  );
}
