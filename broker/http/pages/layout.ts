/** The one frame of all pages that owners see. */
import { type Html, html } from './html.ts';

/** How a page feels: it asks, it is done, it goes on by itself, it needs the owner, it is our fault. */
export type Mood = 'ask' | 'done' | 'waiting' | 'attention' | 'trouble';

export interface Page {
  readonly mood: Mood;
  readonly title: string;
  readonly body: Html;
  /** Where the owner can ask for help: the operators find the request by it. */
  readonly requestId: string;
}

/** Drawn in the page itself: nothing is loaded. */
const icons: Readonly<Record<Mood, Html>> = {
  ask: html`<path d="M7 5.5v13l11-6.5z"/>`,
  done: html`<path d="M5 12.5l4.5 4.5L19 7.5"/>`,
  waiting: html`<path d="M12 6.5V12l3.5 2.5"/><circle cx="12" cy="12" r="8.5"/>`,
  attention: html`<path d="M12 6v7.5"/><path d="M12 17.5v.5"/>`,
  trouble: html`<path d="M6.5 12h.5"/><path d="M12 12h.5"/><path d="M17 12h.5"/>`,
};

/** A whole HTML document. */
export function renderPage({ mood, title, body, requestId }: Page): string {
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex, nofollow">
<meta name="color-scheme" content="light dark">
<title>${title}</title>
<link rel="stylesheet" href="/assets/pages.css">
</head>
<body>
<main class="card ${mood}">
<svg class="icon" viewBox="0 0 24 24" aria-hidden="true">${icons[mood]}</svg>
<h1>${title}</h1>
${body}
</main>
<footer><p>Need help? Write to the person who sent you the link and add this number: <code>${requestId}</code></p></footer>
</body>
</html>
`.markup;
}
