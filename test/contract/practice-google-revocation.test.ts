import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { minute } from '../fake-google/clock.ts';
import type { PracticeGoogle } from '../fake-google/server.ts';
import { readAnswer, refresh } from '../support/plain-oauth-client.ts';
import { owner, startPracticeWorld } from '../support/practice-world.ts';

async function revoke(google: PracticeGoogle, token: string | undefined) {
  const body = new URLSearchParams({ token: token ?? '' });
  return readAnswer(await fetch(google.endpoints.revocation, { method: 'POST', body }));
}

async function userinfoStatus(google: PracticeGoogle, accessToken: string | undefined) {
  const headers = { authorization: `Bearer ${accessToken}` };
  return (await readAnswer(await fetch(google.endpoints.userinfo, { headers }))).status;
}

describe("the practice Google's revocation", { concurrency: true }, () => {
  it('takes an access token and ends its refresh token with it', async (t) => {
    const { google, client, grant } = await startPracticeWorld(t);
    const { body } = await grant();
    assert.equal((await revoke(google, body.access_token)).status, 200);
    assert.equal(await userinfoStatus(google, body.access_token), 401);
    assert.equal((await refresh(client, body.refresh_token)).body.error, 'invalid_grant');
  });

  it('reaches every client of the project for that identity, and no other project or identity', async (t) => {
    const { google, client, addClient, grant } = await startPracticeWorld(t);
    const sibling = addClient('sibling');
    const stranger = addClient('stranger', { project: 'another-project' });
    const [own, siblings, strangers] = [
      await grant(),
      await grant({ client: sibling }),
      await grant({ client: stranger }),
    ];
    const brand = await grant({ choices: { channel: owner.brand.title } });

    await revoke(google, own.body.refresh_token);
    assert.equal((await refresh(client, own.body.refresh_token)).status, 400);
    assert.equal((await refresh(sibling, siblings.body.refresh_token)).status, 400);
    assert.equal(await userinfoStatus(google, siblings.body.access_token), 401);
    assert.equal((await refresh(stranger, strangers.body.refresh_token)).status, 200);
    assert.equal((await refresh(client, brand.body.refresh_token)).status, 200);
  });

  it('answers 400 invalid_token for a token that is dead already or was never issued', async (t) => {
    const { google, grant } = await startPracticeWorld(t);
    const { body } = await grant();
    await revoke(google, body.refresh_token);
    for (const token of [body.refresh_token, body.access_token, 'never-issued']) {
      const answer = await revoke(google, token);
      assert.deepEqual([answer.status, answer.body.error], [400, 'invalid_token']);
    }
    assert.equal((await revoke(google, undefined)).body.error, 'invalid_request');
  });

  it('takes the token from the query as well', async (t) => {
    const { google, client, grant } = await startPracticeWorld(t);
    const { body } = await grant();
    const url = `${google.endpoints.revocation}?token=${encodeURIComponent(body.refresh_token ?? '')}`;
    assert.equal((await readAnswer(await fetch(url, { method: 'POST' }))).status, 200);
    assert.equal((await refresh(client, body.refresh_token)).status, 400);
  });

  it('leaves a consent given afterwards alone, and its refresh token comes as at the first', async (t) => {
    const { google, client, grant } = await startPracticeWorld(t);
    google.setClock(1_800_000_000_000);
    await revoke(google, (await grant()).body.refresh_token);
    const again = await grant({ parameters: { prompt: 'select_account' } });
    assert.equal((await refresh(client, again.body.refresh_token)).status, 200);
  });

  it('may take effect late, and until then the tokens work', async (t) => {
    const { google, client, grant } = await startPracticeWorld(t, { options: { revocation: { delay: 5 * minute } } });
    const { body } = await grant();
    assert.equal((await revoke(google, body.refresh_token)).status, 200);
    assert.equal((await refresh(client, body.refresh_token)).status, 200);
    const reconnected = await grant();
    google.advance(5 * minute);
    assert.equal((await refresh(client, body.refresh_token)).status, 400);
    assert.equal((await refresh(client, reconnected.body.refresh_token)).status, 200);
  });

  it('may kill a consent that was given while it was on its way', async (t) => {
    const { google, client, grant } = await startPracticeWorld(t);
    google.setRevocationTiming({ delay: 5 * minute, reachesLaterConsents: true });
    const { body } = await grant();
    await revoke(google, body.refresh_token);
    const reconnected = await grant();
    google.advance(5 * minute);
    assert.equal((await refresh(client, reconnected.body.refresh_token)).body.error, 'invalid_grant');
    const later = await grant();
    assert.equal((await refresh(client, later.body.refresh_token)).status, 200);
  });

  it('can be done by the owner in the account’s settings', async (t) => {
    const { google, client, grant } = await startPracticeWorld(t);
    const personal = await grant();
    const brand = await grant({ choices: { channel: owner.brand.title } });
    google.revokeByOwner({ account: owner.email, channel: owner.brand.id, project: 'practice-project' });
    assert.equal((await refresh(client, brand.body.refresh_token)).status, 400);
    assert.equal((await refresh(client, personal.body.refresh_token)).status, 200);
    google.revokeByOwner({ token: personal.body.refresh_token ?? '' });
    assert.equal((await refresh(client, personal.body.refresh_token)).status, 400);
    assert.deepEqual(google.liveRefreshTokens(), []);
  });
});
