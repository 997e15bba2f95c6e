/** Is a result right? Every element up to a mebi-element; of a larger output that many, drawn anew each run. */

import type { Expected, Numbers, Random } from "./contract.ts";
import type { Tolerance } from "./tolerances.ts";

const checkedAtMost = 2 ** 20;

/** Which elements of an output are looked at, and what they have to be. */
export interface Answer {
  readonly shape: readonly number[];
  readonly dtype: Expected["dtype"];
  readonly count: number;
  readonly positions: Uint32Array;
  readonly values: Float64Array;
}

/**
 * Computes the right values once for all contestants. A costly reference (a matrix product) is asked
 * for fewer positions: `checkedFlops` over the cost of one element.
 *
 * @param flopsPerElement - what one element of the reference costs; 1 where it is cheap
 */
export function answersOf(
  expected: readonly Expected[],
  random: Random,
  flopsPerElement: number,
): Answer[] {
  const budget = Math.max(4096, Math.min(checkedAtMost, Math.floor(4e7 / flopsPerElement)));
  return expected.map((output) => {
    const count = output.shape.reduce((product, extent) => product * extent, 1);
    const all = count <= budget;
    const positions = new Uint32Array(all ? count : budget);
    for (let index = 0; index < positions.length; index++) {
      positions[index] = all ? index : random.integer(count);
    }
    if (!all) {
      positions[0] = 0;
      positions[1] = count - 1;
    }
    const values = Float64Array.from(positions, (position) => output.at(position));
    return { shape: output.shape, dtype: output.dtype, count, positions, values };
  });
}

export interface Verdict {
  /** Largest |got - expected| / max(1, |expected|) over all outputs. */
  readonly maxError: number;
  /** What is wrong, or null. */
  readonly failure: string | null;
}

/** Compares a contestant's outputs; NaN is always wrong, and so is another number of elements. */
export function check(
  outputs: readonly Numbers[],
  answers: readonly Answer[],
  tolerance: Tolerance,
): Verdict {
  if (outputs.length !== answers.length) {
    return wrong(`gave ${outputs.length} outputs where ${answers.length} were due`);
  }
  let maxError = 0;
  for (const [which, answer] of answers.entries()) {
    const output = outputs[which]!;
    if (output.length !== answer.count) {
      return wrong(`output ${which} has ${output.length} elements where ${answer.count} were due`);
    }
    for (let index = 0; index < answer.positions.length; index++) {
      const position = answer.positions[index]!;
      const [got, due] = [output[position]!, answer.values[index]!];
      const error = Math.abs(got - due);
      if (!(error <= tolerance.absolute + tolerance.relative * Math.abs(due))) {
        return wrong(`output ${which} at ${position} is ${got} where ${due} was due`);
      }
      maxError = Math.max(maxError, error / Math.max(1, Math.abs(due)));
    }
  }
  return { maxError, failure: null };
}

function wrong(what: string): Verdict {
  return { maxError: Number.POSITIVE_INFINITY, failure: `wrong result: ${what}` };
}
