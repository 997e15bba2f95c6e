/** Many small kernels, each waiting for the one before: what a launch costs. */

import type { BenchCase, CaseSize } from "../core/contract.ts";
import { dataOf, float32Output, randomTensor, read } from "./shapes.ts";

const elements = 256;

function kernels(count: number): CaseSize {
  return { label: `${count}`, values: { count, elements } };
}

export const dispatchCases: readonly BenchCase[] = [
  {
    suite: "dispatch",
    name: "dependent small kernels",
    about: "v = x, then `count` times v = v + x over 256 elements, one kernel each",
    sizes: [
      { ...kernels(1), quick: true },
      kernels(10),
      kernels(100),
      { ...kernels(1000), quick: true },
    ],
    tolerance: "chain",
    work: ({ count = 0 }) => ({ operations: count }),
    inputs: (_, random) => ({ x: randomTensor(random, [elements]) }),
    expected(inputs, values) {
      const [count] = read(values, "count");
      const x = dataOf(inputs, "x");
      return [float32Output([elements], (index) => x[index]! * (count + 1))];
    },
  },
  {
    suite: "dispatch",
    name: "recording",
    about: "the same, up to the submit, on a device that validates and executes nothing",
    where: "null-device",
    sizes: [kernels(100), { ...kernels(1000), quick: true }],
    tolerance: "exact",
    work: ({ count = 0 }) => ({ operations: count }),
    inputs: (_, random) => ({ x: randomTensor(random, [elements]) }),
    // Nothing is computed there: what is checked is that as many dispatches were recorded.
    expected: (_, values) => [float32Output([1], () => read(values, "count")[0])],
  },
];
