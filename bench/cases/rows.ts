/** Softmax and the normalisations over the rows of a matrix. */

import type { BenchCase, CaseSize, Expected } from "../core/contract.ts";
import { dataOf, float32Output, randomTensor, read } from "./shapes.ts";
import type { Inputs, Values } from "./shapes.ts";

export const layerNormEpsilon = 1e-5;
export const rmsNormEpsilon = 1e-6;

function sizes(quick: boolean): readonly CaseSize[] {
  return [
    matrix(64, 64),
    quick ? { ...matrix(1024, 1024), quick } : matrix(1024, 1024),
    matrix(4096, 1024),
  ];
}

function matrix(rows: number, columns: number): CaseSize {
  return { label: `${rows}x${columns}`, values: { rows, columns } };
}

/** A row's statistics, computed once a row, in float64. */
function perRow(
  inputs: Inputs,
  values: Values,
  statistic: (x: ArrayLike<number>, first: number, columns: number) => readonly [number, number],
  at: (x: number, first: number, second: number, column: number) => number,
): Expected {
  const [rows, columns] = read(values, "rows", "columns");
  const x = dataOf(inputs, "x");
  const known = Array.from({ length: rows }, (_, row) => statistic(x, row * columns, columns));
  return float32Output([rows, columns], (index) => {
    const [first, second] = known[Math.floor(index / columns)]!;
    return at(x[index]!, first, second, index % columns);
  });
}

export function highestAndSum(
  x: ArrayLike<number>,
  first: number,
  columns: number,
): readonly [number, number] {
  let highest = Number.NEGATIVE_INFINITY;
  for (let at = 0; at < columns; at++) highest = Math.max(highest, x[first + at]!);
  let sum = 0;
  for (let at = 0; at < columns; at++) sum += Math.exp(x[first + at]! - highest);
  return [highest, sum];
}

export function meanAndVariance(
  x: ArrayLike<number>,
  first: number,
  columns: number,
): readonly [number, number] {
  let sum = 0;
  for (let at = 0; at < columns; at++) sum += x[first + at]!;
  const mean = sum / columns;
  let squares = 0;
  for (let at = 0; at < columns; at++) squares += (x[first + at]! - mean) ** 2;
  return [mean, squares / columns];
}

function meanSquare(
  x: ArrayLike<number>,
  first: number,
  columns: number,
): readonly [number, number] {
  let squares = 0;
  for (let at = 0; at < columns; at++) squares += x[first + at]! ** 2;
  return [squares / columns, 0];
}

const twice = ({ rows = 0, columns = 0 }: Values): { readonly bytes: number } => ({
  bytes: rows * columns * 8,
});

export const rowCases: readonly BenchCase[] = [
  {
    suite: "kernels",
    name: "softmax",
    about: "exp(x - max) / sum along each row",
    sizes: sizes(true),
    tolerance: "softmax",
    work: twice,
    inputs: ({ rows = 0, columns = 0 }, random) => ({
      x: randomTensor(random, [rows, columns], -4, 4),
    }),
    expected: (inputs, values) => [
      perRow(inputs, values, highestAndSum, (x, highest, sum) => Math.exp(x - highest) / sum),
    ],
  },
  {
    suite: "kernels",
    name: "layer norm",
    about: "(x - mean) / sqrt(variance + 1e-5) * gamma + beta along each row",
    sizes: sizes(true),
    tolerance: "normalise",
    work: twice,
    inputs: ({ rows = 0, columns = 0 }, random) => ({
      x: randomTensor(random, [rows, columns]),
      gamma: randomTensor(random, [columns], 0.5, 1.5),
      beta: randomTensor(random, [columns]),
    }),
    expected(inputs, values) {
      const [gamma, beta] = [dataOf(inputs, "gamma"), dataOf(inputs, "beta")];
      const at = (x: number, mean: number, variance: number, column: number): number =>
        ((x - mean) / Math.sqrt(variance + layerNormEpsilon)) * gamma[column]! + beta[column]!;
      return [perRow(inputs, values, meanAndVariance, at)];
    },
  },
  {
    suite: "kernels",
    name: "rms norm",
    about: "x / sqrt(mean of x^2 + 1e-6) * gamma along each row",
    sizes: sizes(false),
    tolerance: "normalise",
    work: twice,
    inputs: ({ rows = 0, columns = 0 }, random) => ({
      x: randomTensor(random, [rows, columns]),
      gamma: randomTensor(random, [columns], 0.5, 1.5),
    }),
    expected(inputs, values) {
      const gamma = dataOf(inputs, "gamma");
      const at = (x: number, mean: number, _: number, column: number): number =>
        (x / Math.sqrt(mean + rmsNormEpsilon)) * gamma[column]!;
      return [perRow(inputs, values, meanSquare, at)];
    },
  },
];
