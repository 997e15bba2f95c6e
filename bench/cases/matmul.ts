/** Matrix products: plain, batched, of transposed and sliced operands, and with what follows them. */

import type { BenchCase, CaseSize } from "../core/contract.ts";
import { dataOf, float32Output, randomTensor, read } from "./shapes.ts";
import type { Values } from "./shapes.ts";

function square(n: number, batch = 1): CaseSize {
  const label = batch === 1 ? `${n}` : `${batch}x${n}`;
  return { label, values: { batch, m: n, k: n, n } };
}

const work = ({
  batch = 1,
  m = 0,
  k = 0,
  n = 0,
}: Values): { readonly bytes: number; readonly flops: number } => ({
  bytes: 4 * batch * (m * k + k * n + m * n),
  flops: 2 * batch * m * k * n,
});

/** One element of a product; `a` has `strideA` elements to a row, `b` is walked from `firstB` by `stepB`. */
function dot(
  a: ArrayLike<number>,
  firstA: number,
  b: ArrayLike<number>,
  firstB: number,
  stepB: number,
  k: number,
): number {
  let sum = 0;
  for (let inner = 0; inner < k; inner++) sum += a[firstA + inner]! * b[firstB + inner * stepB]!;
  return sum;
}

export const matmulCases: readonly BenchCase[] = [
  {
    suite: "kernels",
    name: "matmul",
    about: "[n, n] x [n, n]",
    sizes: [
      square(64),
      { ...square(256), quick: true },
      square(512),
      square(1024),
      square(2048),
      square(4096),
    ],
    tolerance: "matmul",
    work,
    inputs: ({ m = 0, k = 0, n = 0 }, random) => ({
      a: randomTensor(random, [m, k]),
      b: randomTensor(random, [k, n]),
    }),
    expected(inputs, values) {
      const [m, k, n] = read(values, "m", "k", "n");
      const [a, b] = [dataOf(inputs, "a"), dataOf(inputs, "b")];
      const at = (index: number): number => dot(a, Math.floor(index / n) * k, b, index % n, n, k);
      return [float32Output([m, n], at)];
    },
  },
  {
    suite: "kernels",
    name: "batched matmul",
    about: "[batch, n, n] x [batch, n, n]",
    sizes: [square(32, 64), { ...square(128, 16), quick: true }, square(256, 32)],
    tolerance: "matmul",
    work,
    inputs: ({ batch = 0, m = 0, k = 0, n = 0 }, random) => ({
      a: randomTensor(random, [batch, m, k]),
      b: randomTensor(random, [batch, k, n]),
    }),
    expected(inputs, values) {
      const [batch, m, k, n] = read(values, "batch", "m", "k", "n");
      const [a, b] = [dataOf(inputs, "a"), dataOf(inputs, "b")];
      const at = (index: number): number => {
        const row = Math.floor(index / n);
        return dot(a, row * k, b, Math.floor(row / m) * k * n + (index % n), n, k);
      };
      return [float32Output([batch, m, n], at)];
    },
  },
  {
    suite: "kernels",
    name: "matmul of a transposed operand",
    about: "[n, n] x the transpose of [n, n], which is given untransposed",
    sizes: [square(64), { ...square(512), quick: true }, square(1024)],
    tolerance: "matmul",
    work,
    inputs: ({ m = 0, k = 0, n = 0 }, random) => ({
      a: randomTensor(random, [m, k]),
      b: randomTensor(random, [n, k]),
    }),
    expected(inputs, values) {
      const [m, k, n] = read(values, "m", "k", "n");
      const [a, b] = [dataOf(inputs, "a"), dataOf(inputs, "b")];
      const at = (index: number): number =>
        dot(a, Math.floor(index / n) * k, b, (index % n) * k, 1, k);
      return [float32Output([m, n], at)];
    },
  },
  {
    suite: "kernels",
    name: "matmul of a sliced operand",
    about: "the right half of [n, 2n] x [n, n]",
    sizes: [square(64), square(512), square(1024)],
    tolerance: "matmul",
    work,
    inputs: ({ m = 0, k = 0, n = 0 }, random) => ({
      a: randomTensor(random, [m, 2 * k]),
      b: randomTensor(random, [k, n]),
    }),
    expected(inputs, values) {
      const [m, k, n] = read(values, "m", "k", "n");
      const [a, b] = [dataOf(inputs, "a"), dataOf(inputs, "b")];
      const at = (index: number): number =>
        dot(a, Math.floor(index / n) * 2 * k + k, b, index % n, n, k);
      return [float32Output([m, n], at)];
    },
  },
  {
    suite: "kernels",
    name: "matmul with bias and activation",
    about: "max(0, [n, n] x [n, n] + bias)",
    sizes: [square(64), { ...square(512), quick: true }, square(1024)],
    tolerance: "matmul",
    work,
    inputs: ({ m = 0, k = 0, n = 0 }, random) => ({
      a: randomTensor(random, [m, k]),
      b: randomTensor(random, [k, n]),
      bias: randomTensor(random, [n]),
    }),
    expected(inputs, values) {
      const [m, k, n] = read(values, "m", "k", "n");
      const [a, b, bias] = [dataOf(inputs, "a"), dataOf(inputs, "b"), dataOf(inputs, "bias")];
      const at = (index: number): number =>
        Math.max(0, dot(a, Math.floor(index / n) * k, b, index % n, n, k) + bias[index % n]!);
      return [float32Output([m, n], at)];
    },
  },
];
