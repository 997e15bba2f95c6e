/**
 * Of several ways to do a problem, the fastest right one. Each is prepared, checked and timed by
 * itself; then the best two are timed in turn, so that a slow second of the machine decides nothing.
 */

import { NotSupportedError } from "./contract.ts";
import type { Prepared, Variant } from "./contract.ts";
import { median } from "./statistics.ts";

/** What the caller does with a variant. */
export interface Trial {
  /** Prepares, runs once and checks; throws where it is wrong, disposed. */
  readonly enter: (variant: Variant) => Promise<Prepared>;
  /** Milliseconds of an iteration, in a sample. */
  readonly time: (prepared: Prepared) => Promise<number>;
}

export interface Timing {
  readonly variant: string;
  readonly milliseconds: number;
}

/** Work that takes longer than this run has patience for. */
export class TooSlowError extends Error {
  override readonly name = "TooSlowError";
}

interface Candidate {
  readonly prepared: Prepared;
  readonly index: number;
  readonly samples: number[];
}

const playOffRounds = 5;

/**
 * The chosen one is prepared; the others are disposed. Two are prepared at a time, and a third while it
 * is timed.
 *
 * @throws what a variant throws: one that is wrong is a defect, even where another is right; one that
 *   the adapter cannot run, or that takes too long, is none
 */
export async function chooseVariant(
  variants: readonly Variant[],
  trial: Trial,
): Promise<{
  readonly prepared: Prepared;
  /** Its place among the variants. */
  readonly index: number;
  readonly timings: readonly Timing[];
}> {
  let best: Candidate[] = [];
  const all: Candidate[] = [];
  let excuse: unknown;
  try {
    for (const [index, variant] of variants.entries()) {
      let prepared: Prepared;
      try {
        prepared = await trial.enter(variant);
      } catch (error) {
        if (!(error instanceof NotSupportedError || error instanceof TooSlowError)) throw error;
        excuse ??= error;
        continue;
      }
      const candidate: Candidate = { prepared, index, samples: [] };
      best.push(candidate);
      all.push(candidate);
      if (variants.length === 1) break;
      for (let round = 0; round < playOffRounds; round++) await timeAgain(candidate, trial);
      best.sort((a, b) => msOf(a) - msOf(b));
      await best[2]?.prepared.dispose();
      best = best.slice(0, 2);
    }
    if (best.length === 0) throw excuse;
    if (best.length === 2) {
      for (let round = 0; round < playOffRounds; round++) {
        for (const candidate of best) await timeAgain(candidate, trial);
      }
      best.sort((a, b) => msOf(a) - msOf(b));
      await best.pop()!.prepared.dispose();
    }
  } catch (error) {
    for (const { prepared } of best) await prepared.dispose();
    throw error;
  }
  const timings = all.flatMap((candidate) => {
    const { variant } = candidate.prepared;
    return variant === undefined ? [] : [{ variant, milliseconds: msOf(candidate) }];
  });
  const { prepared, index } = best[0]!;
  return { prepared, index, timings };
}

async function timeAgain({ prepared, samples }: Candidate, trial: Trial): Promise<void> {
  samples.push(await trial.time(prepared));
}

/** The median, as the rows have it: what is quick once and slow for the rest is not the quickest. */
function msOf({ samples }: Candidate): number {
  return samples.length === 0 ? 0 : median(samples);
}
