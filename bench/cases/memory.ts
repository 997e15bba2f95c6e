/** What computations take at their peak: the most bytes of `GPUBuffer`s that were live. */

import type { BenchCase } from "../core/contract.ts";
import { chainOf } from "./elementwise.ts";
import { dataOf, float32Output, product, randomTensor, read, wholeOutput } from "./shapes.ts";

const Mi = 2 ** 20;

export const memoryCases: readonly BenchCase[] = [
  {
    suite: "memory",
    name: "peak of a chain",
    like: "element-wise chain",
    unit: "bytes",
    about: "the element-wise chain of the kernels",
    sizes: [
      { label: "10 x 1 Mi", values: { count: 10, elements: Mi }, quick: true },
      { label: "10 x 16 Mi", values: { count: 10, elements: 16 * Mi } },
    ],
    tolerance: "chain",
    work: () => ({}),
    inputs({ elements = 0 }, random) {
      return { a: randomTensor(random, [elements]), b: randomTensor(random, [elements]) };
    },
    expected(inputs, values) {
      const [count, elements] = read(values, "count", "elements");
      const [a, b] = [dataOf(inputs, "a"), dataOf(inputs, "b")];
      return [float32Output([elements], (index) => chainOf(a[index]!, b[index]!, count))];
    },
  },
  {
    suite: "memory",
    name: "peak of a varying batch",
    unit: "bytes",
    about:
      "`steps` times max(0, x w1) w2 over the first rows of x: batch, batch - 1, batch + 1, batch - 2, ... of them; the result of the last step",
    sizes: [
      {
        label: "20 steps of 64, 256 wide",
        values: { steps: 20, batch: 64, width: 256 },
        quick: true,
      },
      { label: "100 steps of 256, 512 wide", values: { steps: 100, batch: 256, width: 512 } },
    ],
    tolerance: "network",
    work: () => ({}),
    inputs(values, random) {
      const [steps, batch, width] = read(values, "steps", "batch", "width");
      const scale = 1 / Math.sqrt(width);
      return {
        x: randomTensor(random, [batch + steps, width]),
        w1: randomTensor(random, [width, width], -scale, scale),
        w2: randomTensor(random, [width, width], -scale, scale),
      };
    },
    expected(inputs, values) {
      const [steps, batch, width] = read(values, "steps", "batch", "width");
      const rows = batchOf(batch, steps - 1);
      const compute = (): Float64Array => {
        const inner = product(dataOf(inputs, "x"), dataOf(inputs, "w1"), rows, width, width);
        return product(
          inner.map((value) => Math.max(0, value)),
          dataOf(inputs, "w2"),
          rows,
          width,
          width,
        );
      };
      return [wholeOutput([rows, width], compute)];
    },
  },
  {
    suite: "memory",
    name: "peak of growing key-value tensors",
    unit: "bytes",
    about:
      "`tensors` caches of [0, width] grow by the rows of x, one each step; the first cache at the end",
    sizes: [
      {
        label: "16 tensors, 32 steps, 64 wide",
        values: { tensors: 16, steps: 32, width: 64 },
        quick: true,
      },
      {
        label: "64 tensors, 256 steps, 128 wide",
        values: { tensors: 64, steps: 256, width: 128 },
      },
    ],
    tolerance: "exact",
    work: () => ({}),
    inputs({ steps = 0, width = 0 }, random) {
      return { x: randomTensor(random, [steps, width]) };
    },
    expected(inputs, { steps = 0, width = 0 }) {
      const x = dataOf(inputs, "x");
      return [float32Output([steps, width], (index) => x[index]!)];
    },
  },
];

/** How many rows a step takes: the batch, then one less, one more, two less, ... */
export function batchOf(batch: number, step: number): number {
  const change = Math.ceil(step / 2);
  return step % 2 === 1 ? batch - change : batch + change;
}
