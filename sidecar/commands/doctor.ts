/** `sidecar doctor`: what keeps workers from their tokens, and what to do about it. */
import type { Command } from 'commander';
import type { Finding, Level } from '../doctor/finding.ts';
import { type CommandContext, type OutputOption, withOutput } from './command-context.ts';
import { exitCodes } from './command-error.ts';
import type { Output } from './output.ts';

const marks = {
  ok: ['green', '✔'],
  warning: ['yellow', '!'],
  failure: ['red', '✖'],
  skipped: ['dim', '-'],
} as const satisfies Record<Level, readonly [style: 'green' | 'yellow' | 'red' | 'dim', mark: string]>;

export function addDoctorCommand(program: Command, { environment, output, own, endWith }: CommandContext): void {
  const command = program
    .command('doctor')
    .summary('find what keeps workers from their tokens')
    .description(
      'Looks at everything that a sidecar and its worker need, beside a running sidecar or without one: settings, files, ports, the environment, Vault, the broker. Run it as the sidecar’s user, in the worker’s environment. It changes nothing and fetches no token; it logs in at Vault and has a certificate signed, for a look at the broker. Ends with 1 where something is wrong (✖), with 0 where something may be (!).',
    )
    .option('--no-login', 'do not log in at Vault, and leave out what needs it');
  withOutput(command).action(async ({ login, output: format }: OutputOption & { readonly login: boolean }) => {
    // Loaded here: it needs gRPC, which the other commands beside a running sidecar do not.
    const { examine } = await import('../doctor/examine.ts');
    const findings: Finding[] = [];
    for await (const finding of examine({ environment, execArgv: own.execArgv, logIn: login, now: Date.now })) {
      findings.push(finding);
      if (format === 'text') show(output, finding);
    }
    const failures = findings.filter(({ level }) => level === 'failure').length;
    const warnings = findings.filter(({ level }) => level === 'warning').length;
    if (format === 'json') output.json({ ok: failures === 0, findings });
    else output.text(`\n${sumOf(failures, warnings)}\n`);
    if (failures > 0) endWith(exitCodes.failed);
  });
}

function show({ marked }: Output, { level, code, what, cure }: Finding): void {
  const [style, mark] = marks[level];
  marked(mark, style, `${code}  ${what}`);
  if (cure !== undefined) marked('→', 'cyan', cure, 4);
}

function sumOf(failures: number, warnings: number): string {
  const count = (number: number, thing: string) => `${number} ${thing}${number === 1 ? '' : 's'}`;
  if (failures > 0)
    return `${count(failures, 'thing')} to mend${warnings > 0 ? `, and ${count(warnings, 'warning')}` : ''}.`;
  return warnings > 0 ? `Nothing to mend; ${count(warnings, 'warning')}.` : 'All is well.';
}
