import { Argument, type Command, InvalidArgumentError } from 'commander';
import { type CommandContext, type OutputOption, several, type VaultStep, withOutput } from '../command-context.ts';
import { writeCredential, writeWrappedCredential } from '../credential-files.ts';
import {
  type LoginMethod,
  type LoginOptions,
  loginMethods,
  type ProofOptions,
  readLoginWish,
  readProofWish,
} from '../workload-logins.ts';

type StepOptions = OutputOption & { readonly dryRun?: boolean };

/** `broker vault bootstrap|enable-login|add-workload|issue-credential`; they talk to Vault with the operator's own login. */
export function addVaultCommands(program: Command, { output, vault: commands }: CommandContext): void {
  const vault = program
    .command('vault')
    .description('set Vault up, with your own Vault login (VAULT_ADDR, VAULT_TOKEN)');

  withOutput(vault.command('bootstrap'))
    .description('make mounts, roles and policies what they have to be; can be run again at any time')
    .option('--dry-run', 'show what would be done, and do nothing')
    .action((options: StepOptions) => takeSteps(options, commands.plan, commands.apply));

  withOutput(vault.command('enable-login'))
    .addArgument(new Argument('<method>', 'the login').choices(loginMethods))
    .description('let workloads log in by a service account of Kubernetes (kubernetes, jwt) or a certificate (cert)')
    .option('--host <url>', 'kubernetes: the API server (default: https://kubernetes.default.svc)')
    .option('--ca <file>', 'kubernetes, jwt: the certificate authority of that address, as PEM')
    .option('--reviewer-token-file <file>', 'kubernetes: a token that may review others, where Vault’s own may not')
    .option('--keys <file>', 'jwt: the cluster’s public keys, as PEM')
    .option('--discovery-url <url>', 'jwt: or where the cluster publishes them')
    .option('--issuer <url>', 'jwt: the issuer that tokens must have')
    .option('--dry-run', 'show what would be done, and do nothing')
    .action(async (method: LoginMethod, { dryRun, output: format, ...options }: StepOptions & LoginOptions) => {
      const login = await readLoginWish(method, options);
      const { planLogin, applyLogin } = commands;
      await takeSteps(
        { ...(dryRun && { dryRun }), output: format },
        () => planLogin(login),
        (onStep) => applyLogin(login, onStep),
      );
    });

  vault
    .command('add-workload')
    .argument('<name>', 'the workload')
    .description('make the login of a workload’s sidecar, which decides its SPIFFE ID')
    .option('--kubernetes <account>', 'it logs in as NAMESPACE/SERVICE-ACCOUNT, which the API server reviews')
    .option('--jwt <account>', 'it logs in as NAMESPACE/SERVICE-ACCOUNT, which Vault verifies by itself')
    .option('--cert <file>', 'it logs in by a certificate of this authority (PEM) with its name as the common name')
    .option('--audience <name>', 'of the service account’s token (default: vault)')
    .option('--cidr <network>', 'where it may log in from; several times (default: anywhere)', several)
    .action(async (name: string, { cidr = [], ...options }: ProofOptions & { cidr?: readonly string[] }) => {
      const proof = await readProofWish(options);
      const { spiffeId } = await commands.addWorkload(name, proof, cidr);
      output.facts([
        ['workload', name],
        ['SPIFFE ID', spiffeId],
      ]);
      if (proof.method === 'approle')
        output.hint(`Give its sidecar a credential: broker vault issue-credential ${name} --out FOLDER`);
      else output.hint(`Its sidecar logs in by itself: SIDECAR_VAULT_AUTH=${proof.method} SIDECAR_VAULT_ROLE=${name}`);
    });

  vault
    .command('issue-credential')
    .argument('<role>', 'token-broker, or the name of a workload')
    .description('write a new AppRole credential into a folder, readable for you only')
    .requiredOption('--out <folder>', 'where role-id and secret-id are written')
    .option('--wrap <seconds>', 'write wrapped-secret-id in its place: it opens once, within so many seconds', seconds)
    .action(async (role: string, { out, wrap }: { out: string; wrap?: number }) => {
      if (wrap !== undefined) {
        const wrapped = await commands.issueWrappedCredential(role, wrap);
        const { roleIdFile, wrappedSecretIdFile } = await writeWrappedCredential(out, wrapped);
        return output.facts([
          ['role id', roleIdFile],
          ['wrapped secret id', wrappedSecretIdFile],
        ]);
      }
      const { roleIdFile, secretIdFile } = await writeCredential(out, await commands.issueCredential(role));
      output.facts([
        ['role id', roleIdFile],
        ['secret id', secretIdFile],
      ]);
    });

  async function takeSteps(
    { dryRun, output: format }: StepOptions,
    plan: () => Promise<readonly VaultStep[]>,
    apply: (onStep: (step: VaultStep) => void) => Promise<readonly VaultStep[]>,
  ): Promise<void> {
    const progress = (step: VaultStep): void => output.say(`${step.action.padEnd(6)}  ${step.name}`);
    const steps = dryRun ? await plan() : await apply(format === 'json' ? () => undefined : progress);
    if (format === 'json') return output.json({ steps });
    if (dryRun) return showPlan(steps);
    const changed = steps.filter(({ action }) => action !== 'ok').length;
    output.say(changed === 0 ? 'Everything was as it should be.' : `${changed} of ${steps.length} steps were needed.`);
  }

  function showPlan(steps: readonly VaultStep[]): void {
    const rows = steps.map(({ action, name, reason }) => [action, name, reason]);
    output.table(['action', 'what', 'why'], rows, 'Nothing is to be done.');
  }
}

function seconds(text: string): number {
  if (!/^[1-9]\d{0,5}$/.test(text)) throw new InvalidArgumentError('It is a number of seconds.');
  return Number(text);
}
