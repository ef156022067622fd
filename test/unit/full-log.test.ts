/** A log that cannot be written ends nobody: the disk behind it is full, and tokens are served all the same. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import process from 'node:process';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';

for (const [program, file, open] of [
  ['broker', '../../broker/observability/log.ts', "createLog({ level: 'info' })"],
  ['sidecar', '../../sidecar/log.ts', 'createLog(2)'],
] as const) {
  test(`the ${program} goes on where its log is on a full disk`, async () => {
    const script = `
      const { createLog } = await import(${JSON.stringify(new URL(file, import.meta.url))});
      const log = ${open};
      for (let line = 0; line < 10; line += 1) log.info({}, 'written nowhere');
      process.stdout.write('goes on');`;
    const full = openSync('/dev/full', 'w');
    const child = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['ignore', 'pipe', full] });
    closeSync(full);
    assert.ok(child.stdout);
    const [said, [code]] = await Promise.all([text(child.stdout), once(child, 'exit')]);
    assert.deepEqual([said, code], ['goes on', 0]);
  });
}
