/**
 * A problem run by its contestants in turn: round by round, each contestant one sample, the order
 * turning by one each round. What drifts on the machine meets all of them alike, and ratios are taken
 * between samples of one round.
 */

import { answersOf } from "./check.ts";
import type { Answer } from "./check.ts";
import type { BenchCase, BenchHost, CaseSize, Contestant, Problem } from "./contract.ts";
import { Entrant } from "./entrant.ts";
import type { Pace } from "./entrant.ts";
import { randomFrom } from "./random.ts";
import type { MachineLimits } from "./results.ts";
import { toleranceOf } from "./tolerances.ts";

export interface MeasureSettings extends Pace {
  /** For all samples of one problem, in milliseconds. */
  readonly budgetMs: number;
  readonly fewestRounds: number;
  readonly mostRounds: number;
}

export const quickSettings: MeasureSettings = {
  sampleMs: 8,
  warmUpMs: 40,
  patienceMs: 30_000,
  budgetMs: 700,
  fewestRounds: 5,
  mostRounds: 41,
  longestMs: 2000,
};

export const fullSettings: MeasureSettings = {
  sampleMs: 10,
  warmUpMs: 60,
  patienceMs: 30_000,
  budgetMs: 1500,
  fewestRounds: 5,
  mostRounds: 41,
  longestMs: 4000,
};

/** What the slowness of smaller sizes says about the next: milliseconds per least cost, by contestant. */
export type Paces = Map<string, { readonly size: string; readonly msPerCost: number }>;

export interface MeasureContext {
  readonly host: BenchHost;
  readonly settings: MeasureSettings;
  readonly limits: MachineLimits;
  readonly paces: Paces;
  /** Told before each step, for people who watch. */
  readonly onStep?: (contestant: Contestant, step: string) => void;
}

/** The numbers of one problem, the same for all contestants, anew for each seed. */
export function problemOf(benchCase: BenchCase, size: CaseSize, seed: number): Problem {
  const { values } = size;
  const inputs = benchCase.inputs(values, randomFrom(seed));
  const expected = benchCase.expected(inputs, values);
  return { case: benchCase, size, values, inputs, expected, work: benchCase.work(values) };
}

/** What the outputs have to be, in the places that this seed looks at. */
export function answersFor({ expected, work }: Problem, seed: number): Answer[] {
  const count = expected.reduce(
    (sum, { shape }) => sum + shape.reduce((product, extent) => product * extent, 1),
    0,
  );
  return answersOf(expected, randomFrom(seed + 1), (work.flops ?? 0) / (count + 1));
}

/** Measures one problem; gives one entrant for each contestant, closed, with its samples or its failure. */
export async function measure(
  benchCase: BenchCase,
  size: CaseSize,
  contestants: readonly Contestant[],
  seed: number,
  context: MeasureContext,
): Promise<Entrant[]> {
  const { host, settings, onStep } = context;
  const work = benchCase.work(size.values);
  const cost = leastMs(work, context.limits);
  const problem = problemOf(benchCase, size, seed);
  const answers = answersFor(problem, seed);
  const tolerance = toleranceOf(benchCase.tolerance);
  const entrants = contestants.map(
    (contestant) => new Entrant(contestant, host, problem, answers, tolerance, settings),
  );
  for (const entrant of entrants) {
    await host.breathe?.();
    if (host.isInterrupted()) break;
    const late = tooSlow(entrant.contestant.name, benchCase.name, cost, context);
    if (late !== undefined) {
      entrant.failure = late;
      continue;
    }
    if (benchCase.cold === true) continue;
    onStep?.(entrant.contestant, "warm-up");
    await entrant.enter();
    if (entrant.failure === null) remember(entrant, size, benchCase.name, cost, context);
  }
  host.collectGarbage();
  await (benchCase.cold === true ? sampleCold : sampleRounds)(entrants, context, benchCase);
  for (const entrant of entrants) await entrant.leave();
  return entrants;
}

async function sampleRounds(
  entrants: readonly Entrant[],
  { host, settings, onStep }: MeasureContext,
  benchCase: BenchCase,
): Promise<void> {
  const ready = entrants.filter((entrant) => entrant.isReady);
  const roundMs = ready.reduce((sum, { roughMs, iterations }) => sum + roughMs * iterations, 0);
  const rounds =
    benchCase.unit === "bytes"
      ? 1
      : Math.max(
          settings.fewestRounds,
          Math.min(settings.mostRounds, Math.floor(settings.budgetMs / Math.max(roundMs, 1e-3))),
        );
  for (let round = 0; round < rounds; round++) {
    for (let place = 0; place < ready.length; place++) {
      await host.breathe?.();
      if (host.isInterrupted()) return;
      const entrant = ready[(place + round) % ready.length]!;
      // One that takes more than its share is heard three times, beside the others' first rounds.
      const isSlow = entrant.roughMs * entrant.iterations > settings.budgetMs / 2;
      if (isSlow && round >= 3) continue;
      if (entrant.failure !== null) continue;
      onStep?.(entrant.contestant, `round ${round + 1} of ${rounds}`);
      await entrant.sample(round);
    }
  }
}

async function sampleCold(
  entrants: readonly Entrant[],
  { host, settings, onStep }: MeasureContext,
): Promise<void> {
  for (let round = 0; round < settings.fewestRounds; round++) {
    for (let place = 0; place < entrants.length; place++) {
      await host.breathe?.();
      if (host.isInterrupted()) return;
      const entrant = entrants[(place + round) % entrants.length]!;
      if (round > 0 && entrant.contestant.keepsDevice === true) continue;
      onStep?.(entrant.contestant, `cold start ${round + 1} of ${settings.fewestRounds}`);
      await entrant.sampleCold(round);
    }
  }
}

/** The least milliseconds that the machine's limits allow for the work. */
function leastMs(
  { bytes = 0, flops = 0 }: { readonly bytes?: number; readonly flops?: number },
  limits: MachineLimits,
): number {
  return (
    1000 * Math.max(bytes / limits.deviceCopyBytesPerSecond, flops / limits.fmaFlopsPerSecond, 1e-6)
  );
}

function tooSlow(
  contestant: string,
  name: string,
  cost: number,
  { paces, settings }: MeasureContext,
): string | undefined {
  const known = paces.get(`${contestant}/${name}`);
  const expectedMs = known === undefined ? cost : cost * known.msPerCost;
  if (expectedMs <= settings.longestMs) return undefined;
  const from = known === undefined ? "by the machine's limits" : `from its time at ${known.size}`;
  return `left out: an iteration would take about ${(expectedMs / 1000).toFixed(0)} s ${from}, and ${settings.longestMs / 1000} s is this run's limit`;
}

function remember(
  entrant: Entrant,
  size: CaseSize,
  name: string,
  cost: number,
  { paces }: MeasureContext,
): void {
  if (entrant.roughMs === 0) return;
  paces.set(`${entrant.contestant.name}/${name}`, {
    size: size.label,
    msPerCost: entrant.roughMs / cost,
  });
}
