/** The owner's way in a real Chromium, through our pages and the practice Google's. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { Secret } from '../../broker/domain/secret.ts';
import { BrokerError } from '../../broker/errors.ts';
import type { Flows } from '../../broker/http/flows.ts';
import { type PracticeGoogle, startPracticeGoogle } from '../fake-google/server.ts';
import { launchBrowser } from '../support/browser.ts';
import { activeChannel, browserSecret, linkToken } from '../support/fake-flows.ts';
import { startHttpServer } from '../support/http-server.ts';
import { startConsent } from '../support/plain-oauth-client.ts';
import { usualRequest } from '../support/practice-world.ts';
import { requires } from '../support/requires.ts';
import { startTlsGateway } from '../support/tls-gateway.ts';

describe('consent in a browser', requires('chromium'), () => {
  let browser: Browser;
  let google: PracticeGoogle;

  before(async () => {
    [browser, google] = await Promise.all([launchBrowser(), startPracticeGoogle()]);
    google.addAccount({
      email: 'owner@example.com',
      name: 'Olga Owner',
      channels: [{ id: 'UC1', title: 'North Studio', kind: 'personal' }],
    });
  });

  after(async () => {
    await browser?.close();
    await google?.close();
  });

  /** Flows that go to the practice Google and judge its answer by what is in the callback. */
  function flowsAt(publicUrl: () => string): Partial<Flows> {
    return {
      beginConsent: async () => {
        const redirectUri = `${publicUrl()}/oauth2/callback`;
        const clientId = `client-of-${redirectUri}`;
        google.addClient({ clientId, clientSecret: 'secret', redirectUris: [redirectUri] });
        const { authorization, token } = google.endpoints;
        const client = { authorizationEndpoint: authorization, tokenEndpoint: token, clientId, clientSecret: 'secret' };
        const { url } = startConsent({ ...client, redirectUri }, usualRequest);
        return { authorizationUrl: url, browserSecret: new Secret(browserSecret), expiresAt: new Date() };
      },
      completeConsent: async (_caller, { parameters, browserSecret: given }) => {
        if (given?.reveal() !== browserSecret) throw new BrokerError('INVALID_AUTHORIZATION_RESPONSE');
        const names = { tenant: 'acme', channelName: 'north-studio' };
        if (new Map(parameters).has('code')) return { kind: 'completed', ...names, youtubeTitle: 'North Studio' };
        return { kind: 'failed', failure: 'denied', ...names, facts: {} };
      },
    };
  }

  async function startServer() {
    const server = await startHttpServer({
      flows: flowsAt(() => server.url),
      authorizationUrl: google.endpoints.authorization,
    });
    return server;
  }

  async function decideAtGoogle(page: Page, decision: 'allow' | 'deny'): Promise<void> {
    await page.getByRole('button', { name: 'Olga Owner' }).click();
    if ((await page.locator('body').getAttribute('data-page')) === 'choose-channel') {
      await page.getByRole('button', { name: 'North Studio' }).click();
    }
    await page.getByRole('button', { name: decision === 'allow' ? 'Continue' : 'Cancel' }).click();
    if (decision === 'allow') await page.getByRole('button', { name: 'Allow' }).click();
  }

  /** Collects what a page says to the console: a blocked resource, a broken policy, a failed load. */
  function complaintsOf(context: BrowserContext): string[] {
    const complaints: string[] = [];
    context.on('console', (message) => complaints.push(message.text()));
    context.on('weberror', (error) => complaints.push(String(error.error())));
    return complaints;
  }

  test('an owner consents and ends at a page that can be reloaded and whose address says nothing', async () => {
    await using server = await startServer();
    await using context = await browser.newContext();
    const complaints = complaintsOf(context);
    const page = await context.newPage();
    const hosts = new Set<string>();
    const referers: string[] = [];
    page.on('request', (request) => {
      hosts.add(new URL(request.url()).origin);
      const referer = request.headers().referer;
      if (referer) referers.push(referer);
    });

    await page.goto(`${server.url}/consent/${linkToken}`);
    await page.getByRole('button', { name: 'Continue to Google' }).click();
    await decideAtGoogle(page, 'allow');

    await page.getByRole('heading', { name: 'North Studio is connected' }).waitFor();
    assert.match(page.url(), new RegExp(`^${server.url}/consent/result/[\\w-]{16}$`));
    await page.reload();
    await page.getByRole('heading', { name: 'North Studio is connected' }).waitFor();
    assert.deepEqual([...hosts].sort(), [server.url, new URL(google.endpoints.authorization).origin].sort());
    assert.deepEqual(
      referers.filter((referer) => referer.includes(linkToken) || referer.includes('code=')),
      [],
    );
    assert.deepEqual(complaints, []);
    assert.deepEqual(await page.evaluate('[document.cookie, localStorage.length]'), ['', 0]);
  });

  test('an owner who said no can start again from there', async () => {
    await using server = await startServer();
    await using context = await browser.newContext();
    const page = await context.newPage();
    await page.goto(`${server.url}/consent/${linkToken}`);
    await page.getByRole('button', { name: 'Continue to Google' }).click();
    await decideAtGoogle(page, 'deny');
    await page.getByRole('heading', { name: 'You did not give permission' }).waitFor();
    await page.getByRole('link', { name: 'Start again' }).click();
    await page.getByRole('button', { name: 'Continue to Google' }).click();
    await decideAtGoogle(page, 'allow');
    await page.getByRole('heading', { name: 'North Studio is connected' }).waitFor();
  });

  test('behind a TLS gateway the cookies are of this host only and unreadable for scripts', async () => {
    await using gateway = await startTlsGateway(() => server.url);
    await using server = await startHttpServer({
      flows: flowsAt(() => gateway.url),
      authorizationUrl: google.endpoints.authorization,
      deps: { publicUrl: gateway.url, trustedProxies: ['127.0.0.1'] },
    });
    await using context = await browser.newContext({ ignoreHTTPSErrors: true });
    const page = await context.newPage();
    await page.goto(`${gateway.url}/consent/${linkToken}`);
    await page.getByRole('button', { name: 'Continue to Google' }).click();
    await page.getByRole('button', { name: 'Olga Owner' }).waitFor();
    const [attempt, ...others] = await context.cookies(gateway.url);
    assert.deepEqual(others, []);
    assert.match(attempt?.name ?? '', /^__Host-consent-[\w-]{16}$/);
    assert.deepEqual(
      { secure: attempt?.secure, httpOnly: attempt?.httpOnly, sameSite: attempt?.sameSite, path: attempt?.path },
      { secure: true, httpOnly: true, sameSite: 'Lax', path: '/' },
    );
    await decideAtGoogle(page, 'allow');
    await page.getByRole('heading', { name: 'North Studio is connected' }).waitFor();
  });

  test('the form leads to the authorization server and nowhere else, also by a redirect', async () => {
    await using server = await startHttpServer({
      flows: flowsAt(() => server.url),
      authorizationUrl: 'https://accounts.example.com/authorize',
    });
    await using context = await browser.newContext();
    const complaints = complaintsOf(context);
    const page = await context.newPage();
    await page.goto(`${server.url}/consent/${linkToken}`);
    const blocked = context.waitForEvent('console');
    await page.getByRole('button', { name: 'Continue to Google' }).click();
    await blocked;
    assert.match(complaints.join(), /form-action/);
    assert.equal(page.url(), `${server.url}/consent/${linkToken}`);
  });

  test('a page of another site cannot start a consent', async () => {
    let begun = 0;
    await using server = await startHttpServer({
      flows: {
        beginConsent: async () => {
          begun += 1;
          throw new BrokerError('INTERNAL');
        },
      },
    });
    await using context = await browser.newContext();
    const page = await context.newPage();
    // Another host name of this machine is another site.
    await page.route('http://elsewhere.localhost/**', (route) =>
      route.fulfill({
        contentType: 'text/html',
        body: `<form method="post" action="${server.url}/consent/${linkToken}"><button>Win</button></form>`,
      }),
    );
    await page.goto('http://elsewhere.localhost/');
    await page.getByRole('button', { name: 'Win' }).click();
    await page.getByRole('heading', { name: 'Please start from your link' }).waitFor();
    assert.equal(begun, 0);
  });

  test('the way can be walked by keyboard alone', async () => {
    await using server = await startServer();
    await using context = await browser.newContext();
    const page = await context.newPage();
    await page.goto(`${server.url}/consent/${linkToken}`);
    for (let presses = 0; presses < 5; presses += 1) {
      await page.keyboard.press('Tab');
      if ((await page.evaluate('document.activeElement.textContent')) === 'Continue to Google') break;
    }
    await page.keyboard.press('Enter');
    await page.getByRole('button', { name: 'Olga Owner' }).waitFor();
  });

  for (const [width, colorScheme] of [
    [1280, 'light'],
    [390, 'dark'],
    [320, 'light'],
  ] as const) {
    test(`at ${width} pixels, ${colorScheme}, nothing is cut off and everything can be read`, async () => {
      const longTitle = 'Donaudampfschifffahrtsgesellschaftskapitänsmützenabzeichen'.repeat(2);
      await using server = await startHttpServer({
        flows: {
          viewConsent: async () => ({
            tenant: 'acme',
            channelName: 'north-studio',
            scopes: activeChannel.requestedScopes,
            youtubeTitle: longTitle,
          }),
        },
      });
      await using context = await browser.newContext({ viewport: { width, height: 800 }, colorScheme });
      const page = await context.newPage();
      for (const path of [`/consent/${linkToken}`, '/consent/result/x', '/nothing']) {
        await page.goto(`${server.url}${path}`);
        assert.equal(await page.evaluate('document.documentElement.scrollWidth <= innerWidth'), true, path);
        assert.equal(await page.locator('h1').count(), 1);
        assert.ok((await leastContrast(page)) >= 4.5, `contrast of ${path}`);
      }
    });
  }
});

/** The least contrast (WCAG 2.2, 1.4.3) between a text and what it stands on. */
async function leastContrast(page: Page): Promise<number> {
  return page.evaluate<number>(`(() => {
    const channels = (color) => color.match(/[\\d.]+/g).map(Number);
    const luminance = ([r, g, b]) => [r, g, b]
      .map((value) => value / 255)
      .map((value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4))
      .reduce((sum, value, index) => sum + value * [0.2126, 0.7152, 0.0722][index], 0);
    const ground = (element) => {
      const color = channels(getComputedStyle(element).backgroundColor);
      return color[3] === 0 ? ground(element.parentElement) : color;
    };
    const texts = [...document.querySelectorAll('h1, h2, p, li, a, strong, button, code')];
    return Math.min(...texts.map((element) => {
      const [dark, light] = [luminance(channels(getComputedStyle(element).color)), luminance(ground(element))].sort((a, b) => a - b);
      return (light + 0.05) / (dark + 0.05);
    }));
  })()`);
}
