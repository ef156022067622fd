import { relative } from 'node:path';
import type { EventData } from 'node:test';
import type { TestEvent } from 'node:test/reporters';
import { inspect, styleText } from 'node:util';

/**
 * Makes the reporter of `npm test`: a line for each file, all that is known about each failure, and node's own totals.
 *
 * @param root the repository, for short paths
 */
export function createReporter(root: string) {
  return async function* report(events: AsyncIterable<TestEvent>): AsyncGenerator<string> {
    /** file → what it wrote to its output, which matters only when something in it fails */
    const written = new Map<string, string>();
    for await (const { type, data } of events) {
      switch (type) {
        case 'test:stdout':
        case 'test:stderr':
          written.set(data.file, (written.get(data.file) ?? '') + data.message);
          break;
        case 'test:fail':
          // A file that did not end as it should (a syntax error, a leak) is reported as a test of its own.
          yield data.name === data.file ? describeFile(root, data.file, false) : describeFailure(root, data);
          if (data.name === data.file) yield written.get(data.file) ?? '';
          break;
        case 'test:summary':
          if (data.file === undefined) break;
          yield describeFile(
            root,
            data.file,
            data.success,
            `${data.counts.tests} tests, ${Math.round(data.duration_ms)} ms`,
          );
          if (!data.success) yield written.get(data.file) ?? '';
          break;
        case 'test:diagnostic':
          if (data.nesting === 0) yield `ℹ ${data.message}\n`;
          break;
      }
    }
  };
}

function describeFile(root: string, file: string, success: boolean, facts = 'did not end well'): string {
  const mark = success ? styleText('green', '✔') : styleText('red', '✖');
  return `${mark} ${relative(root, file)}  ${styleText('gray', facts)}\n`;
}

function describeFailure(root: string, { name, file = '', line, details }: EventData.TestFail): string {
  // A suite fails with its tests, which have been described already.
  if ('failureType' in details.error && details.error.failureType === 'subtestsFailed') return '';
  const where = styleText('gray', `${relative(root, file)}${line === undefined ? '' : `:${line}`}`);
  const reason = inspect(details.error.cause ?? details.error, { colors: process.stdout.isTTY === true });
  return `${styleText('red', `✖ ${name}`)}  ${where}\n${indent(reason)}\n`;
}

function indent(text: string): string {
  return text.replaceAll(/^/gm, '    ');
}
