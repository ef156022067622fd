/**
 * The pages of a consent as plain HTML: no script, nothing loaded from anywhere, every page says that it is not Google.
 * The attributes `data-page` and the field names are what `walk-consent.ts` goes by.
 */
import { createHash } from 'node:crypto';
import type { Answer } from './http.ts';
import { explainScope } from './scopes.ts';
import type { Account, Identity } from './world.ts';

/** One page of a consent in progress. */
export interface PageContext {
  /** Names the consent in progress in the form that is sent back. */
  readonly flow: string;
  readonly applicationName: string;
  /** Where the browser will be sent in the end. */
  readonly redirectUri: string;
}

/** Where the forms of all pages are posted. */
export const consentPath = '/o/oauth2/consent';

const style = `
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { margin: 0; padding: 4vh 1rem; display: grid; justify-content: center; }
main { width: min(28rem, 92vw); border: 1px solid #8886; border-radius: 12px; padding: 1.5rem 2rem 2rem; }
.notice { margin: 0 0 1.5rem; padding: .5rem .75rem; border-radius: 6px; background: #fc36; font-size: .875rem; }
h1 { font-size: 1.35rem; line-height: 1.3; margin: 0 0 .75rem; }
p { margin: .5rem 0; }
.quiet { opacity: .75; font-size: .875rem; overflow-wrap: anywhere; }
button { font: inherit; cursor: pointer; border-radius: 8px; border: 1px solid #8886; padding: .6rem 1rem; }
.choice { display: block; width: 100%; text-align: left; margin: .5rem 0; background: none; color: inherit; }
.choice small { display: block; opacity: .75; }
.primary { background: #0b57d0; border-color: #0b57d0; color: #fff; }
.actions { display: flex; gap: .75rem; justify-content: flex-end; margin-top: 1.5rem; }
label { display: flex; gap: .75rem; align-items: flex-start; padding: .5rem 0; }
input[type=checkbox] { width: 1.1rem; height: 1.1rem; margin: .25rem 0 0; flex: none; }
:focus-visible { outline: 3px solid #0b57d0; outline-offset: 2px; }
`;
const styleHash = createHash('sha256').update(style).digest('base64');

function escapeHtml(text: string): string {
  const names: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };
  return text.replaceAll(/[&<>"']/g, (character) => names[character] ?? '');
}

function page(status: number, name: string, title: string, content: string, redirectUri?: string): Answer {
  // Chromium applies form-action also to the redirect that follows a form, so the callback's origin must be in it.
  const formTargets = redirectUri === undefined ? "'none'" : `'self' ${new URL(redirectUri).origin}`;
  const body = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeHtml(title)} – Practice Google</title>
<style>${style}</style>
</head>
<body data-page="${name}">
<main>
<p class="notice"><strong>Practice Google — not Google.</strong> A test server on your own machine. Nothing here reaches the real Google or YouTube.</p>
<h1>${escapeHtml(title)}</h1>
${content}
</main>
</body>
</html>
`;
  return {
    status,
    headers: {
      'content-type': 'text/html; charset=utf-8',
      'content-security-policy': `default-src 'none'; style-src 'sha256-${styleHash}'; form-action ${formTargets}; base-uri 'none'; frame-ancestors 'none'`,
      'cache-control': 'no-store',
      'referrer-policy': 'no-referrer',
      'x-content-type-options': 'nosniff',
    },
    body,
  };
}

function form(context: PageContext, content: string): string {
  return `<form method="post" action="${consentPath}">
<input type="hidden" name="flow" value="${escapeHtml(context.flow)}">
${content}
</form>`;
}

function choice(field: string, value: string, label: string, detail: string): string {
  return `<button class="choice" type="submit" name="${field}" value="${escapeHtml(value)}">${escapeHtml(label)}<small>${escapeHtml(detail)}</small></button>`;
}

const decision = (allow: string) => `<div class="actions">
<button type="submit" name="decision" value="deny">Cancel</button>
<button class="primary" type="submit" name="decision" value="allow">${allow}</button>
</div>`;

/** Asks which account signs in. */
export function chooseAccountPage(context: PageContext, accounts: readonly Account[]): Answer {
  const choices = accounts.map(({ email, name }) => choice('account', email, name, email));
  const content = choices.length > 0 ? form(context, choices.join('\n')) : '<p>No account has been added yet.</p>';
  const intro = `<p>to continue to <strong>${escapeHtml(context.applicationName)}</strong></p>`;
  return page(200, 'choose-account', 'Choose an account', intro + content, context.redirectUri);
}

/** Asks for the account itself or one of its brand channels: each is an identity of its own. */
export function chooseChannelPage(context: PageContext, account: Account): Answer {
  const choices = account.identities.map((identity) =>
    choice(
      'identity',
      identity.sub,
      identity.name,
      identity.kind === 'brand' ? `Brand channel · ${identity.channels[0]?.id}` : identity.email,
    ),
  );
  const intro = '<p>This account has channels of its own. Which one may be used?</p>';
  return page(
    200,
    'choose-channel',
    'Choose your channel',
    intro + form(context, choices.join('\n')),
    context.redirectUri,
  );
}

/** Asks for the sign-in scopes, which cannot be unticked. */
export function signInPage(context: PageContext, identity: Identity, scopes: readonly string[]): Answer {
  const items = scopes.map((scope) => `<li>${escapeHtml(explainScope(scope))}</li>`);
  const content = `<p class="quiet">${escapeHtml(identity.email)}</p>
<p>The practice Google will allow <strong>${escapeHtml(context.applicationName)}</strong> to:</p>
<ul>${items.join('')}</ul>
${form(context, decision('Continue'))}`;
  return page(200, 'sign-in', `Sign in to ${context.applicationName}`, content, context.redirectUri);
}

/** Asks for every other scope, each with a box to tick unless the application gets all or none. */
export function permissionsPage(
  context: PageContext,
  identity: Identity,
  scopes: readonly string[],
  allOrNone: boolean,
): Answer {
  const lines = scopes.map((scope) => {
    const text = `<span>${escapeHtml(explainScope(scope))}<br><span class="quiet">${escapeHtml(scope)}</span></span>`;
    if (allOrNone) return `<li>${text}</li>`;
    return `<label><input type="checkbox" name="scope" value="${escapeHtml(scope)}" checked>${text}</label>`;
  });
  const list = allOrNone ? `<ul>${lines.join('\n')}</ul>` : lines.join('\n');
  const intro = allOrNone ? 'It will be able to:' : 'Select what it may do:';
  const content = `<p class="quiet">${escapeHtml(identity.name)} · ${escapeHtml(identity.email)}</p>
<p>${intro}</p>
${form(context, `${list}\n${decision('Allow')}`)}`;
  const title = `${context.applicationName} wants access to your account`;
  return page(200, 'permissions', title, content, context.redirectUri);
}

/** Says that the request is refused. There is no way back to the application from here. */
export function errorPage(status: number, code: string, message: string): Answer {
  const content = `<p>${escapeHtml(message)}</p><p class="quiet">Error ${status}: ${escapeHtml(code)}</p>`;
  return page(status, 'error', 'Access blocked', content);
}
