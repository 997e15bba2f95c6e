/**
 * Of several ways to do a problem, the fastest right one. Each is prepared and checked, and meets the
 * best one so far in a match: they are timed in turn, so that a slow second of the machine decides
 * nothing.
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
  /** Of the last match. */
  samples: number[];
}

const matchRounds = 7;

/**
 * The chosen one is prepared; the others are disposed. Two are prepared at a time.
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
  let best: Candidate | undefined;
  const all: Candidate[] = [];
  let excuse: unknown;
  for (const [index, variant] of variants.entries()) {
    let prepared: Prepared;
    try {
      prepared = await trial.enter(variant);
    } catch (error) {
      if (error instanceof NotSupportedError || error instanceof TooSlowError) {
        excuse ??= error;
        continue;
      }
      await best?.prepared.dispose();
      throw error;
    }
    const candidate: Candidate = { prepared, index, samples: [] };
    all.push(candidate);
    if (best === undefined) {
      best = candidate;
      continue;
    }
    const [winner, loser] = await match(best, candidate, trial);
    await loser.prepared.dispose();
    best = winner;
  }
  if (best === undefined) throw excuse;
  const timings = all.flatMap((candidate) => {
    const { variant } = candidate.prepared;
    return variant === undefined ? [] : [{ variant, milliseconds: msOf(candidate) }];
  });
  return { prepared: best.prepared, index: best.index, timings };
}

/** The faster one, and the other. Where timing fails, neither stays. */
async function match(
  first: Candidate,
  second: Candidate,
  trial: Trial,
): Promise<readonly [Candidate, Candidate]> {
  for (const candidate of [first, second]) candidate.samples = [];
  try {
    for (let round = 0; round < matchRounds; round++) {
      for (const candidate of round % 2 === 0 ? [first, second] : [second, first]) {
        candidate.samples.push(await trial.time(candidate.prepared));
      }
    }
  } catch (error) {
    for (const { prepared } of [first, second]) await prepared.dispose();
    throw error;
  }
  return msOf(second) < msOf(first) ? [second, first] : [first, second];
}

/** The median, as the rows have it: what is quick once and slow for the rest is not the quickest. */
function msOf({ samples }: Candidate): number {
  return samples.length === 0 ? 0 : median(samples);
}
