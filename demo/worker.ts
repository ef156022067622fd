/**
 * An upload worker, as somebody who never heard of the broker would write it: Google's own library, unmodified, finds a
 * token by the GCE metadata protocol, and a video goes up by YouTube's resumable protocol. It runs as a process of its
 * own and knows nothing but the environment that `npm start` gives it.
 */
import { GoogleAuth } from 'google-auth-library';

const api = process.env.YOUTUBE_API ?? 'https://www.googleapis.com';
const client = await new GoogleAuth().getClient();
const report = (facts: object) => process.stdout.write(`${JSON.stringify(facts)}\n`);

const { data: channels } = await client.request<{ items?: { id: string; snippet?: { title: string } }[] }>({
  url: `${api}/youtube/v3/channels?part=id,snippet&mine=true`,
});
const [channel] = channels.items ?? [];
report({ channel: channel?.snippet?.title, id: channel?.id });

if (process.env.UPLOAD === 'yes') {
  const video = Buffer.from('not really a video, but small\n');
  const session = await client.request({
    url: `${api}/upload/youtube/v3/videos?uploadType=resumable&part=snippet,status`,
    method: 'POST',
    headers: { 'x-upload-content-type': 'video/mp4', 'x-upload-content-length': String(video.length) },
    data: { snippet: { title: 'Hello from the token broker' }, status: { privacyStatus: 'private' } },
  });
  const { data: uploaded } = await client.request<{ id: string }>({
    url: session.headers.get('location') ?? '',
    method: 'PUT',
    headers: { 'content-type': 'video/mp4' },
    body: video,
  });
  report({ uploaded: uploaded.id, bytes: video.length });
}
