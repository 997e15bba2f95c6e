/** Allocation: tensors of many sizes that come and go, some of them live at any time. */

import type { BenchCase, CaseSize, HostTensor, Random } from "../core/contract.ts";
import { dataOf, float32Output, read } from "./shapes.ts";
import type { Inputs, Values } from "./shapes.ts";

const smallestBytes = 256;
const largestBytes = 2 ** 20;

function churn(count: number, window: number): CaseSize {
  return { label: `${count}, ${window} live`, values: { count, window } };
}

/**
 * Log-uniform multiples of 4 bytes: one of each of `count` equal steps of the logarithm, in any order.
 * Drawn freely, their sum would depend on the few largest, and the time of a fill with it.
 */
function byteCounts(random: Random, count: number): HostTensor {
  const ratio = largestBytes / smallestBytes;
  const data = Uint32Array.from(
    { length: count },
    (_, step) => Math.round((smallestBytes * ratio ** ((step + 0.5) / count)) / 4) * 4,
  );
  for (let last = count - 1; last > 0; last--) {
    const other = random.integer(last + 1);
    [data[last], data[other]] = [data[other]!, data[last]!];
  }
  return { shape: [count], data };
}

/** Which place of the window each allocation takes; the one before it there is freed first. */
function places(random: Random, count: number, window: number): HostTensor {
  const data = Uint32Array.from({ length: count }, (_, index) =>
    index < window ? index : random.integer(window),
  );
  return { shape: [count], data };
}

function inputs(values: Values, random: Random): Inputs {
  const [count, window] = read(values, "count", "window");
  return { bytes: byteCounts(random, count), places: places(random, count, window) };
}

/** The number of the allocation that has each place of the window at the end. */
export function lastAllocations(taken: ArrayLike<number>, window: number): number[] {
  const last = Array.from({ length: window }, () => -1);
  for (let index = 0; index < taken.length; index++) last[taken[index]!] = index;
  return last;
}

export const allocCases: readonly BenchCase[] = [
  {
    suite: "alloc",
    name: "allocation churn",
    about:
      "`count` tensors of 256 B to 1 MiB, log-uniform, into a window of places; the former holder of a place " +
      "is freed first, and all at the end. Outputs: what a write of each place's number leaves in its first element",
    sizes: [{ ...churn(256, 16), quick: true }, churn(1024, 16), churn(1024, 256)],
    tolerance: "exact",
    work: ({ count = 0 }) => ({ operations: count }),
    inputs,
    expected: (_, { window = 0 }) => [float32Output([window], (index) => index)],
  },
  {
    suite: "alloc",
    name: "allocation churn with a fill",
    about:
      "the same, each float32 tensor filled with the number of its allocation. Outputs: the first element of the tensor at each place",
    sizes: [{ ...churn(64, 8), quick: true }, churn(256, 64)],
    tolerance: "exact",
    work: ({ count = 0 }) => ({ operations: count }),
    inputs,
    expected(given, { window = 0 }) {
      const last = lastAllocations(dataOf(given, "places"), window);
      return [float32Output([window], (index) => last[index]!)];
    },
  },
];
