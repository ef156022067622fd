import { setTimeout as delay } from 'node:timers/promises';

const LOOK_AGAIN_MS = 20;

/** Waits until `holds` answers true, looking again and again; rejects when it has not within `within` milliseconds. */
export async function until(what: string, holds: () => Promise<boolean> | boolean, within = 15_000): Promise<void> {
  for (const end = Date.now() + within; Date.now() < end; await delay(LOOK_AGAIN_MS)) {
    if (await holds()) return;
  }
  throw new Error(`waited ${within} ms in vain until ${what}`);
}
