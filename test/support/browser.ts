import { type Browser, chromium } from 'playwright-core';
import { executableOf } from './requires.ts';

/** Starts the machine's own Chromium, with a fresh profile and without anything that calls home. */
export function launchBrowser(): Promise<Browser> {
  return chromium.launch({
    executablePath: executableOf('chromium'),
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  });
}
