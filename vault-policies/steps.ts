/** Goes through steps: each looks first, and is taken only where it is needed. */
import { asBrokerError, BrokerError } from '../broker/errors.ts';
import type { Finding, Step } from './step.ts';

/** A step with what was found; in a plan nothing has been done about it. */
export interface FoundStep extends Finding {
  readonly name: string;
}

/** Says what `applySteps` would do; writes nothing. Throws VAULT_FORBIDDEN naming what the token may not read. */
export async function planSteps(steps: readonly Step[]): Promise<readonly FoundStep[]> {
  const plan: FoundStep[] = [];
  for (const step of steps) plan.push(await inspect(step));
  return plan;
}

/** Takes those that are needed, in order. Throws VAULT_FORBIDDEN naming what the token may not do. */
export async function applySteps(
  steps: readonly Step[],
  onStep: (step: FoundStep) => void = () => undefined,
): Promise<readonly FoundStep[]> {
  const done: FoundStep[] = [];
  for (const step of steps) {
    const found = await inspect(step);
    if (found.action !== 'ok') await step.apply().catch((error: unknown) => explain(step, error));
    done.push(found);
    onStep(found);
  }
  return done;
}

async function inspect(step: Step): Promise<FoundStep> {
  const finding = await step.inspect().catch((error: unknown) => explain(step, error));
  return { name: step.name, ...finding };
}

/** Says to the operator which right is missing for what. */
function explain(step: Step, error: unknown): never {
  const failure = asBrokerError(error);
  if (failure.code !== 'VAULT_FORBIDDEN') throw failure;
  throw new BrokerError('VAULT_FORBIDDEN', {
    detail: `${step.name}: ${failure.detail ?? 'refused'}`,
    problems: [
      `your Vault token may not do what the step "${step.name}" needs (${failure.detail ?? 'refused'})`,
      'vault-policies/bootstrap.hcl has all rights that the bootstrap needs',
    ],
    cause: error,
  });
}
