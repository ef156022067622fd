/** A channel owner's browser, as far as the consent needs one: cookies, forms, redirects followed by hand. */

/** What the owner sees. */
export interface Page {
  readonly status: number;
  /** The words on it, without markup. */
  readonly text: string;
  readonly html: string;
  readonly headers: Headers;
}

export interface OwnerBrowser {
  /** Opens a page, following redirects within the broker. */
  open(url: string): Promise<Page>;
  /** Opens the consent link and presses the button; answers where the browser is sent: Google's authorization URL. */
  start(consentLink: string): Promise<string>;
  /** Cookies that the browser holds, by name. */
  readonly cookies: ReadonlyMap<string, string>;
}

export function createOwnerBrowser(headers: Readonly<Record<string, string>> = {}): OwnerBrowser {
  const cookies = new Map<string, string>();

  async function request(url: string, method: 'GET' | 'POST'): Promise<Response> {
    const cookie = [...cookies].map(([name, value]) => `${name}=${value}`).join('; ');
    const response = await fetch(url, {
      method,
      redirect: 'manual',
      headers: { 'user-agent': 'OwnerBrowser/1.0', ...headers, ...(cookie ? { cookie } : {}) },
    });
    for (const line of response.headers.getSetCookie()) keep(line);
    return response;
  }

  function keep(line: string): void {
    const [pair = '', ...attributes] = line.split(';').map((part) => part.trim());
    const at = pair.indexOf('=');
    const name = pair.slice(0, at);
    if (attributes.some((attribute) => /^max-age=0$/i.test(attribute) || /expires=Thu, 01 Jan 1970/i.test(attribute))) {
      cookies.delete(name);
    } else cookies.set(name, pair.slice(at + 1));
  }

  async function open(url: string): Promise<Page> {
    let response = await request(url, 'GET');
    for (let hops = 0; hops < 5 && response.headers.has('location'); hops += 1) {
      response = await request(new URL(response.headers.get('location') ?? '', response.url).href, 'GET');
    }
    const html = await response.text();
    return { status: response.status, html, text: wordsOf(html), headers: response.headers };
  }

  return {
    cookies,
    open,
    async start(consentLink) {
      await open(consentLink);
      const response = await request(consentLink, 'POST');
      const location = response.headers.get('location');
      if (response.status !== 303 || !location) {
        throw new Error(`the consent did not start: ${response.status} ${wordsOf(await response.text())}`);
      }
      return location;
    },
  };
}

function wordsOf(html: string): string {
  return html
    .replace(/<(style|head)>.*?<\/\1>/gs, ' ')
    .replaceAll(/<[^>]*>/g, ' ')
    .replaceAll('&#39;', "'")
    .replaceAll('&amp;', '&')
    .replaceAll('&quot;', '"')
    .replaceAll(/\s+/g, ' ')
    .trim();
}
