import { setTimeout as delay } from 'node:timers/promises';

const LOOK_AGAIN_MS = 20;

/**
 * Waits until `holds` answers true, looking again and again; rejects when it has not within `within` milliseconds. That is
 * for what hangs, and long, since it costs nothing: on a busy machine a step may take many times as long as on a quiet one.
 */
export async function until(what: string, holds: () => Promise<boolean> | boolean, within = 60_000): Promise<void> {
  for (const end = Date.now() + within; Date.now() < end; await delay(LOOK_AGAIN_MS)) {
    if (await holds()) return;
  }
  throw new Error(`waited ${within} ms in vain until ${what}`);
}
