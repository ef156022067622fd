import type { Bench, BenchResult, Contest, Measured, Side, Trial } from './bench.ts';

/** Runs the rounds and answers what came out. */
export function measure(
  name: string,
  bench: Bench,
  prepared: Contest | Trial,
  tell: (line: string) => void,
): Promise<BenchResult> {
  return 'baseline' in prepared ? compare(name, bench, prepared, tell) : tryOut(name, bench, prepared, tell);
}

/**
 * The two sides take turns, and turns in going first, so that what the
 * machine does besides (other programs, heat, a checkpoint) meets both.
 */
async function compare(
  name: string,
  bench: Bench,
  { subject, baseline, conditions, notes }: Contest,
  tell: (line: string) => void,
): Promise<BenchResult> {
  const rates: { subject: number; baseline: number }[] = [];
  for (let round = 0; round <= bench.rounds; round += 1) {
    const rate = { subject: 0, baseline: 0 };
    const turns = round % 2 === 0 ? (['baseline', 'subject'] as const) : (['subject', 'baseline'] as const);
    for (const side of turns) rate[side] = await runOnce({ subject, baseline }[side]);
    tell(
      `${round === 0 ? 'warm-up' : `round ${round} of ${bench.rounds}`}: ${subject.name} ${short(rate.subject)} ${subject.unit}, ` +
        `${baseline.name} ${short(rate.baseline)} ${baseline.unit}`,
    );
    if (round > 0) rates.push(rate);
  }
  const ratios = rates.map((rate) => rounded(rate.subject / rate.baseline));
  const value = median(ratios);
  const besides = conditions?.() ?? [];
  return {
    bench: name,
    value,
    goal: bench.goal,
    unit: bench.unit,
    holds: value >= bench.goal && besides.every(({ holds }) => holds),
    title: bench.title,
    ratios,
    subject: measured(
      subject,
      rates.map((rate) => rate.subject),
    ),
    baseline: measured(
      baseline,
      rates.map((rate) => rate.baseline),
    ),
    conditions: besides,
    notes: (await notes?.()) ?? [],
  };
}

async function tryOut(name: string, bench: Bench, trial: Trial, tell: (line: string) => void): Promise<BenchResult> {
  const values: number[] = [];
  for (let round = 0; round <= bench.rounds; round += 1) {
    const value = rounded(await trial.run(round));
    if (!Number.isFinite(value) || value < 0) throw new Error(`${trial.name}: ${value} ${bench.unit} is no figure`);
    tell(
      `${round === 0 ? 'warm-up' : `round ${round} of ${bench.rounds}`}: ${trial.name} ${short(value)} ${bench.unit}`,
    );
    if (round > 0) values.push(value);
  }
  const value = median(values);
  const conditions = trial.conditions?.() ?? [];
  return {
    bench: name,
    value,
    goal: bench.goal,
    unit: bench.unit,
    holds: value <= bench.goal && conditions.every(({ holds }) => holds),
    title: bench.title,
    ratios: values,
    subject: { name: trial.name, unit: bench.unit, median: value, rounds: values },
    baseline: undefined,
    conditions,
    notes: (await trial.notes?.()) ?? [],
  };
}

async function runOnce(side: Side): Promise<number> {
  const rate = await side.run();
  if (!Number.isFinite(rate) || rate <= 0) throw new Error(`${side.name}: ${rate} ${side.unit} is no rate`);
  return rate;
}

function measured({ name, unit }: Side, rates: readonly number[]): Measured {
  const rounds = rates.map(rounded);
  return { name, unit, median: median(rounds), rounds };
}

/** The middle one, or the mean of the two in the middle. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const upper = sorted[Math.floor(sorted.length / 2)];
  const lower = sorted[Math.ceil(sorted.length / 2) - 1];
  if (upper === undefined || lower === undefined) throw new Error('there is no median of nothing');
  return rounded((lower + upper) / 2);
}

/** Whole from a hundred on, else two decimals, with a thin gap between thousands: `12 345`, `0.74`. */
export function short(value: number): string {
  if (Math.abs(value) < 100) return value.toFixed(2);
  return Math.round(value)
    .toString()
    .replaceAll(/\B(?=(\d{3})+$)/g, ' ');
}

function rounded(value: number): number {
  return Number(value.toFixed(3));
}
