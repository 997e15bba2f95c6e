/** Sums, maxima and their places, over everything and along an axis. */

import { inputOf } from "../core/contract.ts";
import type { BenchCase, CaseSize, Expected, HostTensor, Random } from "../core/contract.ts";
import { dataOf, randomTensor, read } from "./shapes.ts";
import type { Inputs, Values } from "./shapes.ts";

const Mi = 2 ** 20;

const wholeSizes: readonly CaseSize[] = [
  { label: "4 Ki", values: { elements: 4096 } },
  { label: "1 Mi", values: { elements: Mi }, quick: true },
  { label: "16 Mi", values: { elements: 16 * Mi } },
];

const axisSizes: readonly CaseSize[] = [
  { label: "64x64 axis 1", values: { rows: 64, columns: 64, axis: 1 } },
  { label: "1024x1024 axis 1", values: { rows: 1024, columns: 1024, axis: 1 }, quick: true },
  { label: "1024x1024 axis 0", values: { rows: 1024, columns: 1024, axis: 0 } },
  { label: "4096x1024 axis 1", values: { rows: 4096, columns: 1024, axis: 1 } },
  { label: "4096x1024 axis 0", values: { rows: 4096, columns: 1024, axis: 0 } },
];

type Fold = "sum" | "max" | "argmax";

/** Folds `count` elements from `first`, `step` apart. */
function fold(
  kind: Fold,
  x: ArrayLike<number>,
  first: number,
  step: number,
  count: number,
): number {
  let [sum, highest, place] = [0, Number.NEGATIVE_INFINITY, 0];
  for (let index = 0; index < count; index++) {
    const value = x[first + index * step]!;
    sum += value;
    if (value > highest) [highest, place] = [value, index];
  }
  return kind === "sum" ? sum : kind === "max" ? highest : place;
}

/** Random, with one element of each folded line above all others: the place of a tie is nobody's promise. */
function withPeaks(random: Random, values: Values): HostTensor {
  const { elements, rows = 1, columns = elements ?? 0, axis = 1 } = values;
  const shape = elements === undefined ? [rows, columns] : [elements];
  const tensor = randomTensor(random, shape);
  const { data } = tensor;
  if (axis === 1) {
    for (let row = 0; row < rows; row++) data[row * columns + random.integer(columns)] = 2;
  } else {
    for (let column = 0; column < columns; column++)
      data[random.integer(rows) * columns + column] = 2;
  }
  return tensor;
}

function whole(kind: Fold): BenchCase {
  return {
    suite: "kernels",
    name: kind,
    about: `${kind} of all elements`,
    sizes: kind === "max" ? wholeSizes.map(({ label, values }) => ({ label, values })) : wholeSizes,
    tolerance: kind === "sum" ? "sum" : "exact",
    work: ({ elements = 0 }) => ({ bytes: 4 * elements }),
    inputs: (values, random) => ({ x: withPeaks(random, values) }),
    expected(inputs) {
      const { data } = inputOf(inputs, "x");
      let result: number | undefined;
      const at = (): number => (result ??= fold(kind, data, 0, 1, data.length));
      return [{ shape: [], dtype: kind === "argmax" ? "uint32" : "float32", at }];
    },
  };
}

function alongAxis(kind: Fold): BenchCase {
  return {
    suite: "kernels",
    name: `${kind} along an axis`,
    about: `${kind} along one axis of a matrix`,
    sizes: kind === "sum" ? axisSizes : axisSizes.map(({ label, values }) => ({ label, values })),
    tolerance: kind === "sum" ? "sum" : "exact",
    work: ({ rows = 0, columns = 0 }) => ({ bytes: 4 * rows * columns }),
    inputs: (values, random) => ({ x: withPeaks(random, values) }),
    expected: (inputs, values) => [folded(kind, inputs, values)],
  };
}

function folded(kind: Fold, inputs: Inputs, values: Values): Expected {
  const [rows, columns, axis] = read(values, "rows", "columns", "axis");
  const x = dataOf(inputs, "x");
  return {
    shape: [axis === 1 ? rows : columns],
    dtype: kind === "argmax" ? "uint32" : "float32",
    at: (index) =>
      axis === 1 ? fold(kind, x, index * columns, 1, columns) : fold(kind, x, index, columns, rows),
  };
}

export const reductionCases: readonly BenchCase[] = [
  whole("sum"),
  whole("max"),
  whole("argmax"),
  alongAxis("sum"),
  alongAxis("max"),
  alongAxis("argmax"),
];
