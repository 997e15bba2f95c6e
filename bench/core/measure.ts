/**
 * A problem run by its contestants, in sittings. In a sitting each is prepared, checked and warmed up,
 * then all are sampled in turn, then checked again and closed. A time depends on where in memory the
 * preparing put things: one sitting tells its own ratio to a percent, and the next tells another, 5
 * percent off. So sittings are repeated until the ratio over them is known, or the time is spent.
 */

import { answersOf } from "./check.ts";
import type { Answer } from "./check.ts";
import type { BenchCase, CaseSize, Contestant, Problem } from "./contract.ts";
import { Entrant } from "./entrant.ts";
import type { Pace } from "./entrant.ts";
import type { Question } from "./open-contestant.ts";
import { randomFrom } from "./random.ts";
import type { MachineLimits } from "./results.ts";
import { isLead, ratioOf, sampleRounds } from "./rounds.ts";
import type { RoundContext, RoundSettings } from "./rounds.ts";
import { meanError } from "./statistics.ts";
import { toleranceOf } from "./tolerances.ts";

export interface MeasureSettings extends Pace, RoundSettings {
  readonly fewestSittings: number;
  readonly mostSittings: number;
  /** For all sittings but the first, preparing included, in milliseconds. */
  readonly budgetMs: number;
}

export const quickSettings: MeasureSettings = {
  sampleMs: 8,
  warmUpMs: 60,
  patienceMs: 30_000,
  longestMs: 2000,
  fewestRounds: 5,
  sittingMs: 400,
  peerMs: 200,
  coldMs: 1200,
  precision: 0.02,
  fewestSittings: 3,
  mostSittings: 3,
  budgetMs: 1500,
};

export const fullSettings: MeasureSettings = {
  ...quickSettings,
  longestMs: 4000,
  peerMs: 400,
  coldMs: 2000,
  precision: 0.015,
  mostSittings: 5,
  budgetMs: 3000,
};

/** A wanted precision may take up to a minute of a problem. */
export function settingsOf(quick: boolean, precision?: number): MeasureSettings {
  const settings = quick ? quickSettings : fullSettings;
  if (precision === undefined) return settings;
  return { ...settings, precision, coldMs: 30_000, mostSittings: 100, budgetMs: 60_000 };
}

/** What the slowness of smaller sizes says about the next: milliseconds per least cost, by contestant. */
export type Paces = Map<string, { readonly size: string; readonly msPerCost: number }>;

/** Which of its variants a contestant took at a problem, for later repetitions: by contestant and problem. */
export type Choices = Map<string, number>;

export interface MeasureContext extends RoundContext {
  readonly settings: MeasureSettings;
  readonly limits: MachineLimits;
  readonly paces: Paces;
  readonly choices: Choices;
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

/** The entrants of one sitting, closed, with their samples or their failure. */
export type Sitting = readonly Entrant[];

/** Measures one problem. Peers take part in the first sitting, of which there is always one. */
export async function measure(
  benchCase: BenchCase,
  size: CaseSize,
  contestants: readonly Contestant[],
  seed: number,
  context: MeasureContext,
): Promise<Sitting[]> {
  const { host, settings } = context;
  const problem = problemOf(benchCase, size, seed);
  const question = {
    problem,
    answers: answersFor(problem, seed),
    tolerance: toleranceOf(benchCase.tolerance),
  };
  const sittings = [await sit(question, contestants, context)];
  // Bytes are counted, and every sample of a cold start is a sitting of its own.
  if (benchCase.unit === "bytes" || benchCase.cold === true) return sittings;
  const again = sittings[0]!
    .filter((entrant) => entrant.failure === null && isLead(entrant))
    .map(({ contestant }) => contestant);
  const started = host.now();
  let longestMs = 0;
  while (again.length > 0 && !host.isInterrupted() && !isKnown(sittings, settings)) {
    const before = host.now();
    if (before - started + longestMs > settings.budgetMs) break;
    sittings.push(await sit(question, again, context));
    longestMs = Math.max(longestMs, host.now() - before);
  }
  return sittings;
}

/** Below this, a launch is much of the time, and launches vary twice as much. */
const shortMs = 1;

/** Whether the ratio over the sittings has the wanted standard error. */
function isKnown(sittings: readonly Sitting[], settings: MeasureSettings): boolean {
  if (sittings.length < settings.fewestSittings) return false;
  if (sittings.length >= settings.mostSittings) return true;
  const least = Math.min(...sittings[0]!.map(({ roughMs }) => roughMs).filter((ms) => ms > 0));
  const wanted = least < shortMs ? 2 * settings.precision : settings.precision;
  return meanError(sittings.map(ratioOf)) <= wanted;
}

async function sit(
  question: Omit<Question, "patienceMs">,
  contestants: readonly Contestant[],
  context: MeasureContext,
): Promise<Sitting> {
  const { host, settings, choices, onStep } = context;
  const { case: benchCase, size, work } = question.problem;
  const cost = leastMs(work, context.limits);
  const keyOf = ({ name }: Contestant): string => `${name}/${benchCase.name}/${size.label}`;
  const entrants = contestants.map(
    (contestant) =>
      new Entrant(contestant, host, question, settings, choices.get(keyOf(contestant))),
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
  await sampleRounds(entrants, benchCase, context);
  for (const entrant of entrants) {
    await entrant.leave();
    const { failure, choice, contestant } = entrant;
    if (failure === null && choice !== undefined) choices.set(keyOf(contestant), choice);
  }
  return entrants;
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
