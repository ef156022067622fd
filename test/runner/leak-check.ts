// Loaded into every test file's process. A file whose tests are over must end by itself; one that does not has left
// a server, a connection or a timer open, and fails with the kinds of what is open.
import { after } from 'node:test';

const ENDS_WITHIN_MS = 5_000;

after(() => {
  // Does not keep the process alive itself, so it fires only when something else does.
  setTimeout(() => {
    process.stderr.write(`left open when all tests were over: ${openThings().join(', ')}\n`);
    process.exit(1);
  }, ENDS_WITHIN_MS).unref();
});

function openThings(): string[] {
  // The pipes to the test runner.
  return process.getActiveResourcesInfo().filter((kind) => kind !== 'PipeWrap');
}
