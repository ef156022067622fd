/** The pages of a consent: the start, the end, and what went wrong. */
import type { ConsentView } from '../../flow/view-consent.ts';
import { type Html, html } from '../pages/html.ts';
import { type Page, renderPage } from '../pages/layout.ts';
import { type ConsentMessage, messageForError, messageForFailure } from './consent-messages.ts';
import type { ConsentResult } from './consent-result.ts';
import { deleteNothing, explainScopes } from './permissions.ts';

const connections = html`<a href="https://myaccount.google.com/connections" rel="noreferrer">myaccount.google.com/connections</a>`;

/** Who asks, for which channel, for what, and what happens next. */
export function startPage(view: ConsentView, requestId: string): string {
  const { tenant, channelName, youtubeTitle, scopes } = view;
  const channel = youtubeTitle ? html`<strong>${youtubeTitle}</strong>` : html`your channel`;
  return renderPage({
    mood: 'ask',
    title: `Let ${tenant} upload to your YouTube channel`,
    requestId,
    body: html`
<p><strong>${tenant}</strong> asks for your permission to work with ${channel}, which they call “${channelName}”.</p>
<h2>This lets them</h2>
<ul>${explainScopes(scopes).map((text) => html`<li>${text}</li>`)}</ul>
<p class="quiet">They never see your password${deleteNothing(scopes) ? ', and they cannot delete anything on your channel' : undefined}. You can take the permission back whenever you like, at ${connections}.</p>
<h2>What happens next</h2>
<ol>
<li>Google asks for an account or channel. ${chooseAdvice(youtubeTitle)}</li>
<li>Google shows what is asked for in its own words; uploading is “Manage your YouTube videos”. Tick every box and choose “Continue”.</li>
<li>You come back here and see that it worked. All of it takes a minute; you have ten.</li>
</ol>
<form method="post" class="actions"><button class="button" type="submit">Continue to Google</button></form>
<p class="quiet">You do not know ${tenant}, or did not expect this? Then close this page: nothing has happened.</p>`,
  });
}

function chooseAdvice(youtubeTitle: string | undefined): Html {
  return youtubeTitle
    ? html`Choose <strong>${youtubeTitle}</strong>, the same as before: another channel will not be accepted.`
    : html`If you have several, choose the one with the name and picture of the channel itself.`;
}

/** What the consent came to. */
export function resultPage({ what, requestId }: ConsentResult): string {
  switch (what.kind) {
    case 'completed':
      return renderPage({
        mood: 'done',
        title: `${what.youtubeTitle} is connected`,
        requestId,
        body: html`
<p>Thank you. <strong>${what.tenant}</strong> can now upload videos to <strong>${what.youtubeTitle}</strong>. You need do nothing more and can close this page.</p>
<p class="quiet">Should you want to take the permission back one day, you can at ${connections}.</p>`,
      });
    case 'received':
      return renderPage({
        mood: 'waiting',
        title: 'Thank you, you are done',
        requestId,
        body: html`
<p>Your permission is safely kept. One check is not finished yet, which channel it is for; we go on by ourselves.</p>
<p>You need do nothing more and can close this page. <strong>${what.tenant}</strong> will get in touch if anything is missing.</p>`,
      });
    case 'failed':
      return messagePage(
        messageForFailure(what.failure, { tenant: what.tenant, ...what.facts }),
        requestId,
        what.startAgain,
      );
    case 'error':
      return messagePage(messageForError(what.code), requestId, what.startAgain);
  }
}

/** @param startAgain path of the consent link, where it is known. */
export function messagePage(message: ConsentMessage, requestId: string, startAgain?: string): string {
  const { mood, title, happened, todo } = message;
  const page: Page = {
    mood,
    title,
    requestId,
    body: html`
<p>${happened}</p>
<h2>What you can do</h2>
<ul>${todo.map((text) => html`<li>${text}</li>`)}</ul>
${startAgain ? html`<p class="actions"><a class="button" href="${startAgain}">Start again</a></p>` : undefined}`,
  };
  return renderPage(page);
}
