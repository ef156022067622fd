/** The pages by which an owner disconnects a channel. */
import type { RevocationView } from '../../flow/revoke-by-owner.ts';
import { type Html, html } from '../pages/html.ts';
import { renderPage } from '../pages/layout.ts';

const connections = html`<a href="https://myaccount.google.com/connections" rel="noreferrer">myaccount.google.com/connections</a>`;

/** What ends, and a button. */
export function revokePage(view: RevocationView, requestId: string): string {
  const { tenant, channelName, youtubeTitle, plan } = view;
  const channel = youtubeTitle ? html`<strong>${youtubeTitle}</strong>` : html`your channel`;
  return renderPage({
    mood: 'attention',
    title: `Disconnect your YouTube channel from ${tenant}`,
    requestId,
    body: html`
<p>This takes your permission back: <strong>${tenant}</strong> can then no longer work with ${channel}, which they call “${channelName}”.</p>
<h2>What happens</h2>
<ul>
<li>From now on nothing more is uploaded. Videos that are there stay there.</li>
<li>Google is told to end the permission; that can take a while.</li>
${othersEnd(view)}
<li>There is no way back. To connect the channel again, ${tenant} has to send you a new link.</li>
</ul>
<form method="post" class="actions"><input type="hidden" name="plan" value="${plan}"><button class="button" type="submit">Disconnect</button></form>
<p class="quiet">You do not want this? Then close this page: nothing has happened. What Google lists for your account is at ${connections}.</p>`,
  });
}

/** Google ends all of an account's permissions to one application together. */
function othersEnd({ tenant, siblings: { here, elsewhere } }: RevocationView): Html | undefined {
  if (here + elsewhere === 0) return undefined;
  const parts = [
    ...(here > 0 ? [`${here} with ${tenant}`] : []),
    ...(elsewhere > 0 ? [`${elsewhere} with other customers of ours`] : []),
  ];
  return html`<li><strong>Other connections of the same Google Account end with it</strong>, because Google ends them together: ${parts.join(' and ')}.</li>`;
}

export function disconnectedPage(requestId: string): string {
  return renderPage({
    mood: 'done',
    title: 'The channel is disconnected',
    requestId,
    body: html`
<p>Nothing is uploaded to it any more. Google is being told, which can take a while; until then the entry may still be listed at ${connections}.</p>
<p class="quiet">You need do nothing more and can close this page.</p>`,
  });
}
