/**
 * Walks a consent as the owner's browser would: real HTTP, the pages' own forms, and the callback URL at the end,
 * which is returned and not requested. Works with nothing but the authorization URL, so also across processes.
 */

/** What the owner clicks. */
export interface ConsentChoices {
  /** E-mail address picked in the account chooser. */
  readonly account: string;
  /** Title or id of the brand channel picked in the channel chooser; absent: the account itself. */
  readonly channel?: string;
  /** Scopes whose boxes the owner unticks. */
  readonly untick?: readonly string[];
  /** Default: allow. */
  readonly decision?: 'allow' | 'deny';
}

/** Thrown when the practice Google shows its error page instead of going on. */
export class ConsentPageError extends Error {
  readonly status: number;

  constructor(status: number, page: string) {
    super(`practice google refused the authorization request: ${textOf(page)}`);
    this.name = 'ConsentPageError';
    this.status = status;
  }
}

/** Follows `authorizationUrl` to its end and returns the callback URL. Throws {@link ConsentPageError}. */
export async function walkConsent(authorizationUrl: string, choices: ConsentChoices): Promise<string> {
  let response = await fetch(authorizationUrl, { redirect: 'manual' });
  for (let pages = 0; pages < 10; pages += 1) {
    const location = response.headers.get('location');
    if (location !== null) return location;
    const html = await response.text();
    if (!response.ok) throw new ConsentPageError(response.status, html);
    const form = fillForm(html, choices);
    const action = new URL(attribute(html, /<form [^>]*action="([^"]*)"/), response.url);
    response = await fetch(action, { method: 'POST', body: form, redirect: 'manual' });
  }
  throw new Error('the consent never came to an end');
}

function fillForm(html: string, choices: ConsentChoices): URLSearchParams {
  const { account, channel, untick = [], decision = 'allow' } = choices;
  const form = new URLSearchParams({ flow: attribute(html, /name="flow" value="([^"]*)"/) });
  const page = attribute(html, /data-page="([^"]*)"/);
  switch (page) {
    case 'choose-account':
      form.set('account', account);
      break;
    case 'choose-channel':
      form.set('identity', channelButton(html, channel));
      break;
    case 'sign-in':
      form.set('decision', decision);
      break;
    case 'permissions':
      for (const scope of tickedScopes(html)) if (!untick.includes(scope)) form.append('scope', scope);
      form.set('decision', decision);
      break;
    default:
      throw new Error(`unexpected page in the consent: ${page}`);
  }
  return form;
}

function channelButton(html: string, channel: string | undefined): string {
  const buttons = [...html.matchAll(/name="identity" value="([^"]*)">([^<]*)<small>(?:Brand channel · )?([^<]*)</g)];
  const button =
    channel === undefined
      ? buttons[0]
      : buttons.find(([, , title, id]) => [title, id].some((label) => unescapeHtml(label ?? '') === channel));
  if (!button?.[1]) throw new Error(`the channel chooser does not offer ${channel}`);
  return button[1];
}

function tickedScopes(html: string): string[] {
  return [...html.matchAll(/name="scope" value="([^"]*)" checked/g)].map(([, scope]) => unescapeHtml(scope ?? ''));
}

function attribute(html: string, pattern: RegExp): string {
  const value = pattern.exec(html)?.[1];
  if (value === undefined) throw new Error(`the page has no ${pattern.source}: ${textOf(html)}`);
  return unescapeHtml(value);
}

function unescapeHtml(text: string): string {
  const characters: Record<string, string> = { amp: '&', lt: '<', gt: '>', quot: '"', '#39': "'" };
  return text.replaceAll(/&(amp|lt|gt|quot|#39);/g, (_, name: string) => characters[name] ?? '');
}

function textOf(html: string): string {
  return html
    .replace(/<(style|title)>.*?<\/\1>/gs, ' ')
    .replaceAll(/<[^>]*>/g, ' ')
    .replaceAll(/\s+/g, ' ')
    .trim();
}
