/** Sizes drawn from a distribution, lifetimes from none: any live block may be the next to go. */

import type { Random } from "../../core/contract.ts";
import { randomFrom } from "../../core/random.ts";
import { TraceBuilder } from "../trace-builder.ts";
import type { Trace } from "../trace.ts";

/** Sizes are of whole float32 elements. */
const elementBytes = 4;

export type UniformParameters = {
  readonly allocationCount: number;
  /** About how many blocks are live at a time. */
  readonly liveCount: number;
  readonly maxBytes: number;
};

/** Every size up to `maxBytes` is equally likely: hardly two blocks are alike. */
export function uniformTrace(seed: number, changes: Partial<UniformParameters> = {}): Trace {
  const parameters = { allocationCount: 16_000, liveCount: 1024, maxBytes: 262_144, ...changes };
  const random = randomFrom(seed);
  const elements = Math.max(1, Math.floor(parameters.maxBytes / elementBytes));
  const builder = new TraceBuilder({
    generator: "uniform",
    seed,
    architecture: "none: sizes uniform, lifetimes random",
    parameters,
  });
  churn(builder, random, parameters, () => elementBytes * (1 + random.integer(elements)));
  return builder.finish();
}

export type PowerLawParameters = {
  readonly allocationCount: number;
  readonly liveCount: number;
  readonly minBytes: number;
  readonly maxBytes: number;
  /** The chance of a size above x falls as x to the power of minus this. */
  readonly exponent: number;
};

/** Most blocks are small, most bytes are in the few large ones: as in real programs. */
export function powerLawTrace(seed: number, changes: Partial<PowerLawParameters> = {}): Trace {
  const parameters = {
    allocationCount: 40_000,
    liveCount: 4096,
    minBytes: 64,
    maxBytes: 2 ** 25,
    exponent: 0.6,
    ...changes,
  };
  const { minBytes, maxBytes, exponent } = parameters;
  const random = randomFrom(seed);
  const builder = new TraceBuilder({
    generator: "power-law",
    seed,
    architecture: "none: sizes by a bounded power law, lifetimes random",
    parameters,
  });
  // By inversion: the share of sizes above x is what a uniform number in [0, 1) picks.
  const [low, high] = [minBytes ** -exponent, maxBytes ** -exponent];
  churn(builder, random, parameters, () => {
    const bytes = (low - random.next() * (low - high)) ** (-1 / exponent);
    return elementBytes * Math.max(1, Math.round(bytes / elementBytes));
  });
  return builder.finish();
}

/** Fills up to `liveCount` blocks, and keeps their number there by random allocating and freeing. */
function churn(
  builder: TraceBuilder,
  random: Random,
  { allocationCount, liveCount }: { readonly allocationCount: number; readonly liveCount: number },
  size: () => number,
): void {
  const live: number[] = [];
  const freeOne = (): void => {
    const index = random.integer(live.length);
    builder.free(live[index]!);
    live[index] = live.at(-1)!;
    live.pop();
  };
  for (let made = 0; made < allocationCount; made++) {
    // As often below the mark as above it, once it is reached.
    while (live.length > 0 && live.length >= liveCount - random.integer(1 + liveCount / 8))
      freeOne();
    live.push(builder.allocate("block", size()));
  }
  while (live.length > 0) freeOne();
}
