// Runs benchmarks: `npm run bench [-- NAME]`.
//
//   NAME      only test/bench/NAME.bench.ts: prints a table, ends with one line of JSON, exits with 1 where the goal is
//             missed
//   nothing   all of them, each in a process of its own; writes docs/benchmarks.md
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { globSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import type { Bench, BenchResult } from './harness/bench.ts';
import { benchmarksDocument, thisMachine } from './harness/document.ts';
import { measure } from './harness/measure.ts';
import { reportOf } from './harness/report.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const names = globSync('*.bench.ts', { cwd: join(root, 'test/bench') })
  .map((file) => basename(file, '.bench.ts'))
  .sort();

const [name, ...more] = process.argv.slice(2);
if (name === undefined) process.exitCode = await runAll();
else if (names.includes(name) && more.length === 0) process.exitCode = await runOne(name);
else {
  tell(`usage: npm run bench [-- NAME], where NAME is one of: ${names.join(', ')}`);
  process.exitCode = 2;
}

async function runOne(one: string): Promise<number> {
  const { bench } = (await import(`./${one}.bench.ts`)) as { bench: Bench };
  const cleanUps: (() => unknown)[] = [];
  try {
    tell(`${one}: getting ready`);
    const contest = await bench.prepare({ after: (clean) => void cleanUps.push(clean) }, tell);
    const result = await measure(one, bench, contest, tell);
    process.stdout.write(`\n${reportOf(result)}\n${JSON.stringify(result)}\n`);
    return result.holds ? 0 : 1;
  } finally {
    for (const clean of cleanUps.reverse()) await clean();
  }
}

async function runAll(): Promise<number> {
  const results: BenchResult[] = [];
  for (const one of names) {
    const child = spawn(process.execPath, [fileURLToPath(import.meta.url), one], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const [output, [code]] = await Promise.all([text(child.stdout), once(child, 'close')]);
    process.stdout.write(output);
    const last = output.trimEnd().split('\n').at(-1) ?? '';
    // 1 is a missed goal, unless there is no result at all.
    if ((code !== 0 && code !== 1) || !last.startsWith('{')) throw new Error(`${one} did not come to an end`);
    results.push(JSON.parse(last) as BenchResult);
  }
  const document = join(root, 'docs/benchmarks.md');
  await writeFile(document, benchmarksDocument(results, thisMachine(), new Date()));
  tell(`wrote ${document}`);
  return results.every(({ holds }) => holds) ? 0 : 1;
}

/** Progress, apart from the results. */
function tell(line: string): void {
  process.stderr.write(`${line}\n`);
}
