import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

type Clean = () => unknown;

/** What outlives the resources that a helper hands out: a test's context, or `{ after }` of `node:test` for a file. */
export interface Scope {
  after(clean: () => Promise<void>): void;
}

const cleanUps = new WeakMap<Scope, Clean[]>();

/**
 * Cleans up at the end of a scope, last made first gone, every one of them even if another fails. `t.after` alone goes
 * in the order of the calls: it would stop a database before the broker that uses it.
 */
export function atEnd(scope: Scope, clean: Clean): void {
  const known = cleanUps.get(scope);
  if (known) {
    known.push(clean);
    return;
  }
  const all = [clean];
  cleanUps.set(scope, all);
  scope.after(async () => {
    const failures: unknown[] = [];
    for (const next of all.reverse()) await Promise.try(next).catch((error: unknown) => failures.push(error));
    if (failures.length > 0) throw new AggregateError(failures, 'could not clean up');
  });
}

/** Makes an empty folder that is gone after the scope. */
export async function useFolder(scope: Scope): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'token-broker-test-'));
  atEnd(scope, () => rm(folder, { recursive: true, force: true }));
  return folder;
}
