/** Element by element: chains and casts. */

import type { BenchCase, CaseSize } from "../core/contract.ts";
import { dataOf, float32Output, randomTensor, read } from "./shapes.ts";

const Ki = 2 ** 10;
const Mi = 2 ** 20;

function chain(count: number, elements: number, label: string): CaseSize {
  return { label: `${count} x ${label}`, values: { count, elements } };
}

/** Turn by turn times `b` and plus `a`; `b` is in [-1, 1), so that nothing grows without bound. */
export function chainOf(a: number, b: number, count: number): number {
  let value = a;
  for (let step = 0; step < count; step++) value = step % 2 === 0 ? value * b : value + a;
  return value;
}

export const elementwiseCases: readonly BenchCase[] = [
  {
    suite: "kernels",
    name: "element-wise chain",
    about: "x = a, then turn by turn x * b and x + a, as separate operations",
    sizes: [
      { ...chain(1, 4 * Ki, "4 Ki"), quick: true },
      chain(10, 4 * Ki, "4 Ki"),
      chain(1, Mi, "1 Mi"),
      chain(2, Mi, "1 Mi"),
      chain(5, Mi, "1 Mi"),
      { ...chain(10, Mi, "1 Mi"), quick: true },
      chain(20, Mi, "1 Mi"),
      chain(10, 16 * Mi, "16 Mi"),
    ],
    tolerance: "chain",
    work: ({ elements = 0 }) => ({ bytes: 12 * elements }),
    inputs(values, random) {
      const [elements] = read(values, "elements");
      return { a: randomTensor(random, [elements]), b: randomTensor(random, [elements]) };
    },
    expected(inputs, values) {
      const [count, elements] = read(values, "count", "elements");
      const [a, b] = [dataOf(inputs, "a"), dataOf(inputs, "b")];
      return [float32Output([elements], (index) => chainOf(a[index]!, b[index]!, count))];
    },
  },
  {
    suite: "kernels",
    name: "cast",
    about: "float32 to int32, towards zero",
    sizes: [
      { label: "4 Ki", values: { elements: 4 * Ki } },
      { label: "1 Mi", values: { elements: Mi }, quick: true },
      { label: "16 Mi", values: { elements: 16 * Mi } },
    ],
    tolerance: "exact",
    work: ({ elements = 0 }) => ({ bytes: 8 * elements }),
    inputs: ({ elements = 0 }, random) => ({
      x: randomTensor(random, [elements], -1000, 1000),
    }),
    expected(inputs, { elements = 0 }) {
      const x = dataOf(inputs, "x");
      return [{ shape: [elements], dtype: "int32", at: (index) => Math.trunc(x[index]!) }];
    },
  },
];
