import type { Command } from 'commander';
import type { DenialAnswer, DenialListAnswer } from '../../http/api/schemas.ts';
import { type CommandContext, type OutputOption, withOutput } from '../command-context.ts';
import { showInstant } from '../output.ts';

interface DenyOptions extends OutputOption {
  readonly serial?: string;
  readonly tenant?: string;
  readonly reason: string;
}

/** `broker workload deny|undeny|denied` */
export function addWorkloadDenialCommands(workload: Command, { api, output }: CommandContext): void {
  const acts = [
    ['deny', '/v1/workload-denials', 'shut a workload or a certificate out, also on open connections'],
    ['undeny', '/v1/workload-denials/lift', 'let a workload or a certificate in again'],
  ] as const;
  for (const [act, path, description] of acts) {
    withOutput(workload.command(act))
      .argument('[spiffe-id]', 'the workload; or give --serial')
      .description(description)
      .option('--serial <hex>', 'the serial number of one certificate, as Vault or OpenSSL write it')
      .option('--tenant <name>', 'only from this tenant’s channels (default: from everything, for operators)')
      .requiredOption('--reason <text>', 'why; kept in the audit record')
      .action(async (spiffeId: string | undefined, { output: format, serial, tenant, reason }: DenyOptions) => {
        const answer = await api().post<DenialAnswer>(path, { spiffe_id: spiffeId, serial, tenant, reason });
        if (format === 'json') return output.json(answer);
        output.facts([
          [answer.serial === null ? 'workload' : 'certificate', answer.spiffe_id ?? answer.serial ?? ''],
          ['from', fromWhat(answer)],
          ['reason', answer.reason],
          ['denied by', answer.created_by],
          ['since', showInstant(answer.created_at)],
        ]);
        if (act === 'undeny') output.hint('It is let in again.');
        else if (answer.serial)
          output.hint('The workload can get another certificate: deny the workload to shut it out.');
      });
  }

  withOutput(workload.command('denied'))
    .description('list who is shut out')
    .option('--tenant <name>', 'from this tenant’s channels (default: all there are, for operators)')
    .action(async ({ output: format, tenant }: OutputOption & { readonly tenant?: string }) => {
      const query = tenant === undefined ? '' : `?${new URLSearchParams({ tenant })}`;
      const answer = await api().get<DenialListAnswer>(`/v1/workload-denials${query}`);
      if (format === 'json') return output.json(answer);
      const rows = answer.denials.map((one) => [
        one.spiffe_id ?? one.serial ?? '',
        fromWhat(one),
        showInstant(one.created_at),
        one.created_by,
        one.reason,
      ]);
      output.table(['workload or certificate', 'from', 'since', 'denied by', 'reason'], rows, 'Nobody is shut out.');
    });
}

function fromWhat({ tenant }: DenialAnswer): string {
  return tenant === null ? 'everything' : `the channels of ${tenant}`;
}
