/** A whole run: limits, then every chosen problem by every chosen contestant, then limits again. */

import type { BenchCase, BenchHost, CaseSize, Contestant } from "./contract.ts";
import { bestLimits, measureLimits } from "./limits.ts";
import { measure } from "./measure.ts";
import type { Choices, MeasureContext, Paces, MeasureSettings, Sitting } from "./measure.ts";
import { seedOf } from "./random.ts";
import type { BenchRow, MachineLimits, MemorySeries } from "./results.ts";
import { memorySeriesOf, rowsOf } from "./rows.ts";

export interface Selection {
  /** All where absent; names are matched by their beginning, ignoring case. */
  readonly suites?: readonly string[];
  readonly cases?: readonly string[];
  readonly contestants?: readonly string[];
  readonly sizes?: readonly string[];
  readonly quick: boolean;
}

export interface RunOptions {
  readonly host: BenchHost;
  readonly cases: readonly BenchCase[];
  readonly contestants: readonly Contestant[];
  readonly selection: Selection;
  readonly settings: MeasureSettings;
  readonly seed: number;
  readonly repetitionCount: number;
  /** Measured before and after the cases unless they are given. */
  readonly limits?: MachineLimits;
  readonly onProgress?: (progress: Progress) => void;
  /** Told the rows of a problem as soon as its last repetition is done. */
  readonly onRows?: (rows: readonly BenchRow[]) => void;
}

export interface Progress {
  /** Problems done, and in all, over all repetitions. */
  readonly done: number;
  readonly total: number;
  readonly what: string;
}

export interface RunOutcome {
  readonly limits: MachineLimits;
  readonly rows: readonly BenchRow[];
  readonly memoryOverTime: readonly MemorySeries[];
}

/** The cases and sizes that a selection leaves, in the order of the list. */
export function selectProblems(
  cases: readonly BenchCase[],
  selection: Selection,
): { readonly benchCase: BenchCase; readonly size: CaseSize }[] {
  return cases
    .filter(({ suite }) => matches(suite, selection.suites))
    .filter(({ name }) => matches(name, selection.cases))
    .flatMap((benchCase) =>
      benchCase.sizes
        .filter((size) => !selection.quick || size.quick === true)
        .filter((size) => matches(size.label, selection.sizes))
        .map((size) => ({ benchCase, size })),
    );
}

export function selectContestants(
  contestants: readonly Contestant[],
  { contestants: wanted }: Selection,
): Contestant[] {
  return contestants.filter(({ name }) => matches(name, wanted));
}

/**
 * Suites whose cases run the same functions on the host, which the engine compiles anew for each way
 * of using them: an allocation alone was a third faster before the other cases than after them. So
 * each case is run once before any is measured.
 */
const onTheHost: ReadonlySet<string> = new Set(["alloc", "host"]);
const rehearsalMs = 100;

export async function runBench(options: RunOptions): Promise<RunOutcome> {
  const { host, settings, repetitionCount, onProgress, onRows } = options;
  const problems = selectProblems(options.cases, options.selection);
  const chosen = selectContestants(options.contestants, options.selection);
  const takingPart = ({ suite }: BenchCase): Contestant[] =>
    chosen.filter(({ suites }) => suites === undefined || suites.includes(suite));
  const total = problems.length * repetitionCount;
  onProgress?.({ done: 0, total, what: "the machine's limits" });
  const limitsBefore = options.limits ?? (await measureLimits(host));
  const paces: Paces = new Map();
  const choices: Choices = new Map();
  const measured = problems.map(({ benchCase, size }) => ({
    benchCase,
    size,
    repetitions: [] as Sitting[][],
  }));
  let done = 0;
  const contextOf = (key: string): MeasureContext => ({
    host,
    settings,
    limits: limitsBefore,
    paces,
    choices,
    onStep: (contestant, step) =>
      onProgress?.({ done, total, what: `${key}: ${contestant.name}, ${step}` }),
  });
  for (const { benchCase, size } of problems) {
    if (!onTheHost.has(benchCase.suite) || host.isInterrupted()) continue;
    const key = `rehearsal of ${benchCase.name} ${size.label}`;
    const contestants = takingPart(benchCase).filter(({ kind }) => kind !== "peer");
    await measure(benchCase, size, contestants, seedOf(options.seed, key), {
      ...contextOf(key),
      settings: { ...settings, sittingMs: rehearsalMs, fewestSittings: 1, mostSittings: 1 },
      paces: new Map(),
      choices: new Map(),
    });
  }
  for (let repetition = 0; repetition < repetitionCount; repetition++) {
    for (const entry of measured) {
      if (host.isInterrupted()) break;
      const { benchCase, size } = entry;
      const key = `${benchCase.name} ${size.label}`;
      entry.repetitions.push(
        await measure(
          benchCase,
          size,
          takingPart(benchCase),
          seedOf(options.seed + repetition, key),
          contextOf(key),
        ),
      );
      done++;
      if (repetition === repetitionCount - 1) {
        onRows?.(rowsOf(entry, takingPart(benchCase), limitsBefore));
      }
    }
  }
  const isKnown = options.limits !== undefined || host.isInterrupted();
  const limits = isKnown ? limitsBefore : bestLimits(limitsBefore, await measureLimits(host, 2));
  const finished = measured.filter(({ repetitions }) => repetitions.length > 0);
  return {
    limits,
    rows: finished.flatMap((entry) => rowsOf(entry, takingPart(entry.benchCase), limits)),
    memoryOverTime: finished.flatMap(memorySeriesOf),
  };
}

function matches(name: string, wanted: readonly string[] | undefined): boolean {
  if (wanted === undefined || wanted.length === 0) return true;
  const lower = name.toLowerCase();
  return wanted.some((prefix) => lower.startsWith(prefix.toLowerCase()));
}
