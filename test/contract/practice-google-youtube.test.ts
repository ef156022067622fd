import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, it } from 'node:test';
import { youtubeScope } from '../fake-google/scopes.ts';
import type { PracticeGoogle } from '../fake-google/server.ts';
import { readAnswer } from '../support/plain-oauth-client.ts';
import { owner, startPracticeWorld, usualScope } from '../support/practice-world.ts';

interface ApiErrorBody {
  readonly error?: { readonly code: number; readonly errors: readonly { readonly reason: string }[] };
}

async function listChannels(google: PracticeGoogle, accessToken: string, query = 'part=id,snippet&mine=true') {
  const headers = { authorization: `Bearer ${accessToken}` };
  const answer = await readAnswer(await fetch(`${google.endpoints.youtube}/channels?${query}`, { headers }));
  const items = (answer.body.items ?? []) as { id: string; snippet: { title: string } }[];
  return { ...answer, ids: items.map(({ id }) => id), titles: items.map(({ snippet }) => snippet?.title) };
}

function reason({ status, body }: { status: number; body: Record<string, unknown> }) {
  return [status, (body as ApiErrorBody).error?.errors[0]?.reason];
}

async function beginUpload(google: PracticeGoogle, accessToken: string, title = 'A video') {
  return fetch(`${google.endpoints.youtubeUpload}/videos?uploadType=resumable&part=snippet,status`, {
    method: 'POST',
    headers: { authorization: `Bearer ${accessToken}`, 'content-type': 'application/json' },
    body: JSON.stringify({ snippet: { title } }),
  });
}

function put(location: string | null, accessToken: string, body: Buffer, range?: string) {
  const headers: Record<string, string> = { authorization: `Bearer ${accessToken}`, 'content-type': 'video/mp4' };
  if (range !== undefined) headers['content-range'] = range;
  return fetch(location ?? '', { method: 'PUT', headers, body: new Uint8Array(body) });
}

describe("the practice YouTube's channels.list", { concurrency: true }, () => {
  it('returns only the channel of the identity that the token is bound to', async (t) => {
    const { google, client } = await startPracticeWorld(t);
    const grant = { clientId: client.clientId, account: owner.email, scope: usualScope };
    const personal = await listChannels(google, google.grant(grant).accessToken);
    const brand = await listChannels(google, google.grant({ ...grant, channel: owner.brand.title }).accessToken);
    assert.deepEqual([personal.ids, personal.titles], [[owner.personal.id], [owner.personal.title]]);
    assert.deepEqual([brand.ids, brand.titles], [[owner.brand.id], [owner.brand.title]]);
  });

  it('has no items for an account without a channel and several for an ambiguous one', async (t) => {
    const { google, client } = await startPracticeWorld(t);
    google.addAccount({ email: 'none@example.com' });
    const two = ['UC1', 'UC2'].map((id) => ({ id, title: id, kind: 'personal' as const }));
    google.addAccount({ email: 'two@example.com', channels: two });
    const list = async (account: string) => {
      const { accessToken } = google.grant({ clientId: client.clientId, account, scope: usualScope });
      return listChannels(google, accessToken);
    };
    const none = await list('none@example.com');
    assert.deepEqual([none.status, 'items' in none.body], [200, false]);
    assert.deepEqual((await list('two@example.com')).ids, ['UC1', 'UC2']);
  });

  it('follows the channels of an identity as they change', async (t) => {
    const { google, client } = await startPracticeWorld(t);
    const grant = { clientId: client.clientId, account: owner.email, channel: owner.brand.id, scope: usualScope };
    const { accessToken, sub } = google.grant(grant);
    google.setChannels(sub, [{ id: 'UCdrifted', title: 'Moved', kind: 'brand' }]);
    assert.deepEqual((await listChannels(google, accessToken)).ids, ['UCdrifted']);
    google.setChannels(sub, []);
    assert.deepEqual((await listChannels(google, accessToken)).ids, []);
  });

  it('takes every scope that can read a channel, and not youtube.upload alone', async (t) => {
    const { google, client } = await startPracticeWorld(t);
    for (const scope of Object.values(youtubeScope)) {
      const { accessToken } = google.grant({ clientId: client.clientId, account: owner.email, scope });
      const answer = await listChannels(google, accessToken);
      const expected = scope === youtubeScope.upload ? [403, 'insufficientPermissions'] : [200, undefined];
      assert.deepEqual(reason(answer), expected, scope);
    }
  });

  it('answers a missing, unknown or expired token with 401 authError', async (t) => {
    const { google, client } = await startPracticeWorld(t);
    const { accessToken } = google.grant({ clientId: client.clientId, account: owner.email, scope: usualScope });
    google.expire(accessToken);
    for (const token of ['', 'unknown', accessToken]) {
      assert.deepEqual(reason(await listChannels(google, token)), [401, 'authError']);
    }
  });

  it('needs a part and a filter', async (t) => {
    const { google, client } = await startPracticeWorld(t);
    const { accessToken } = google.grant({ clientId: client.clientId, account: owner.email, scope: usualScope });
    assert.equal((await listChannels(google, accessToken, 'mine=true')).status, 400);
    assert.equal((await listChannels(google, accessToken, 'part=id')).status, 400);
  });
});

describe("the practice YouTube's videos.insert", { concurrency: true }, () => {
  const content = Buffer.from('not really a video, but these are all its bytes');

  it('takes a video in one piece and tells the channel it went to', async (t) => {
    const { google, client } = await startPracticeWorld(t);
    const { accessToken, sub } = google.grant({
      clientId: client.clientId,
      account: owner.email,
      channel: owner.brand.id,
      scope: youtubeScope.upload,
    });
    const begun = await beginUpload(google, accessToken, 'My holiday');
    assert.equal(begun.status, 200);
    const { status, body } = await readAnswer(await put(begun.headers.get('location'), accessToken, content));
    assert.equal(status, 200);
    assert.deepEqual(body.snippet, { channelId: owner.brand.id, title: 'My holiday' });

    const [video] = google.uploads();
    const sha256 = createHash('sha256').update(content).digest('hex');
    assert.equal(video?.id, body.id);
    assert.deepEqual(
      [video?.channelId, video?.sub, video?.bytes, video?.sha256],
      [owner.brand.id, sub, content.length, sha256],
    );
  });

  it('takes a video in pieces, says how far it got, and ends with the same bytes', async (t) => {
    const { google, client } = await startPracticeWorld(t);
    const { accessToken } = google.grant({ clientId: client.clientId, account: owner.email, scope: usualScope });
    const location = (await beginUpload(google, accessToken)).headers.get('location');
    const total = content.length;

    const asked = await put(location, accessToken, Buffer.alloc(0), `bytes */${total}`);
    assert.deepEqual([asked.status, asked.headers.get('range')], [308, null]);
    const first = await put(location, accessToken, content.subarray(0, 20), `bytes 0-19/${total}`);
    assert.deepEqual([first.status, first.headers.get('range')], [308, 'bytes=0-19']);
    const gap = await put(location, accessToken, content.subarray(30), `bytes 30-${total - 1}/${total}`);
    assert.deepEqual([gap.status, gap.headers.get('range')], [308, 'bytes=0-19'], 'a gap is not taken');
    const last = await put(location, accessToken, content.subarray(20), `bytes 20-${total - 1}/${total}`);
    assert.equal(last.status, 200);
    assert.equal(google.uploads()[0]?.sha256, createHash('sha256').update(content).digest('hex'));

    const again = await put(location, accessToken, Buffer.alloc(0), `bytes */${total}`);
    assert.deepEqual([again.status, google.uploads().length], [200, 1]);
  });

  it('refuses a wrong, expired, revoked or under-scoped token, also in the middle of an upload', async (t) => {
    const { google, client } = await startPracticeWorld(t);
    const grant = { clientId: client.clientId, account: owner.email, scope: usualScope };
    const refused = async (token: string) => reason(await readAnswer(await beginUpload(google, token)));
    assert.deepEqual(await refused('wrong'), [401, 'authError']);
    const readonly = google.grant({ ...grant, scope: youtubeScope.readonly }).accessToken;
    assert.deepEqual(await refused(readonly), [403, 'insufficientPermissions']);
    const expired = google.grant(grant).accessToken;
    google.expire(expired);
    assert.deepEqual(await refused(expired), [401, 'authError']);

    const { accessToken } = google.grant(grant);
    const location = (await beginUpload(google, accessToken)).headers.get('location');
    google.revokeByOwner({ token: accessToken });
    assert.deepEqual(reason(await readAnswer(await put(location, accessToken, content))), [401, 'authError']);
    assert.deepEqual(google.uploads(), []);
  });

  it('refuses an account without a channel', async (t) => {
    const { google, client } = await startPracticeWorld(t);
    google.addAccount({ email: 'none@example.com' });
    const grant = google.grant({ clientId: client.clientId, account: 'none@example.com', scope: usualScope });
    const answer = await readAnswer(await beginUpload(google, grant.accessToken));
    assert.deepEqual(reason(answer), [401, 'youtubeSignupRequired']);
  });

  it('refuses metadata that is no JSON, a range that does not fit, and a session it never opened', async (t) => {
    const { google, client } = await startPracticeWorld(t);
    const { accessToken } = google.grant({ clientId: client.clientId, account: owner.email, scope: usualScope });
    const url = `${google.endpoints.youtubeUpload}/videos?uploadType=resumable`;
    const headers = { authorization: `Bearer ${accessToken}` };
    assert.equal((await readAnswer(await fetch(url, { method: 'POST', headers, body: '{' }))).status, 400);
    const location = (await beginUpload(google, accessToken)).headers.get('location');
    assert.equal((await readAnswer(await put(location, accessToken, content, 'bytes 0-3/4'))).status, 400);
    assert.equal((await readAnswer(await put(`${url}&upload_id=none`, accessToken, content))).status, 404);
  });
});
