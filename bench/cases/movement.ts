/** Data that is moved and not computed with: transposes, slices, gathers, concatenation. */

import type { BenchCase, CaseSize } from "../core/contract.ts";
import { dataOf, float32Output, randomTensor, read } from "./shapes.ts";
import type { Values } from "./shapes.ts";

function matrix(rows: number, columns: number): CaseSize {
  return { label: `${rows}x${columns}`, values: { rows, columns } };
}

export const movementCases: readonly BenchCase[] = [
  {
    suite: "kernels",
    name: "transpose",
    about: "a matrix, written out transposed",
    sizes: [matrix(256, 256), { ...matrix(1024, 1024), quick: true }, matrix(4096, 4096)],
    tolerance: "exact",
    work: ({ rows = 0, columns = 0 }) => ({ bytes: 8 * rows * columns }),
    inputs: ({ rows = 0, columns = 0 }, random) => ({ x: randomTensor(random, [rows, columns]) }),
    expected(inputs, values) {
      const [rows, columns] = read(values, "rows", "columns");
      const x = dataOf(inputs, "x");
      const at = (index: number): number => x[(index % rows) * columns + Math.floor(index / rows)]!;
      return [float32Output([columns, rows], at)];
    },
  },
  {
    suite: "kernels",
    name: "permute",
    about: "[d0, d1, d2, d3] written out as [d2, d0, d3, d1]",
    sizes: [
      { label: "4x8x16x8", values: { d0: 4, d1: 8, d2: 16, d3: 8 } },
      { label: "16x32x64x32", values: { d0: 16, d1: 32, d2: 64, d3: 32 }, quick: true },
      { label: "32x64x128x64", values: { d0: 32, d1: 64, d2: 128, d3: 64 } },
    ],
    tolerance: "exact",
    work: ({ d0 = 0, d1 = 0, d2 = 0, d3 = 0 }) => ({ bytes: 8 * d0 * d1 * d2 * d3 }),
    inputs: ({ d0 = 0, d1 = 0, d2 = 0, d3 = 0 }, random) => ({
      x: randomTensor(random, [d0, d1, d2, d3]),
    }),
    expected(inputs, values) {
      const [d0, d1, d2, d3] = read(values, "d0", "d1", "d2", "d3");
      const x = dataOf(inputs, "x");
      const at = (index: number): number => {
        const [i1, rest] = [index % d1, Math.floor(index / d1)];
        const [i3, outer] = [rest % d3, Math.floor(rest / d3)];
        const [i0, i2] = [outer % d0, Math.floor(outer / d0)];
        return x[((i0 * d1 + i1) * d2 + i2) * d3 + i3]!;
      };
      return [float32Output([d2, d0, d3, d1], at)];
    },
  },
  {
    suite: "kernels",
    name: "slice",
    about: "the middle half of both axes of a matrix, written out",
    sizes: [matrix(128, 128), { ...matrix(2048, 2048), quick: true }, matrix(4096, 4096)],
    tolerance: "exact",
    work: ({ rows = 0, columns = 0 }) => ({ bytes: 2 * rows * columns }),
    inputs: ({ rows = 0, columns = 0 }, random) => ({ x: randomTensor(random, [rows, columns]) }),
    expected(inputs, values) {
      const [rows, columns] = read(values, "rows", "columns");
      const x = dataOf(inputs, "x");
      const half = columns / 2;
      const at = (index: number): number =>
        x[(Math.floor(index / half) + rows / 4) * columns + (index % half) + columns / 4]!;
      return [float32Output([rows / 2, half], at)];
    },
  },
  {
    suite: "kernels",
    name: "gather",
    about: "`count` rows of a table, by int32 indices",
    sizes: [
      { label: "64 of 1024x64", values: { rows: 1024, columns: 64, count: 64 } },
      { label: "4096 of 8192x256", values: { rows: 8192, columns: 256, count: 4096 }, quick: true },
      { label: "65536 of 32768x256", values: { rows: 32768, columns: 256, count: 65536 } },
    ],
    tolerance: "exact",
    work: ({ columns = 0, count = 0 }: Values) => ({ bytes: count * (8 * columns + 4) }),
    inputs: ({ rows = 0, columns = 0, count = 0 }, random) => ({
      table: randomTensor(random, [rows, columns]),
      indices: {
        shape: [count],
        data: Int32Array.from({ length: count }, () => random.integer(rows)),
      },
    }),
    expected(inputs, values) {
      const [columns, count] = read(values, "columns", "count");
      const [table, indices] = [dataOf(inputs, "table"), dataOf(inputs, "indices")];
      const at = (index: number): number =>
        table[indices[Math.floor(index / columns)]! * columns + (index % columns)]!;
      return [float32Output([count, columns], at)];
    },
  },
  {
    suite: "kernels",
    name: "concat",
    about: "two matrices side by side, along axis 1",
    sizes: [matrix(64, 64), { ...matrix(1024, 512), quick: true }, matrix(4096, 2048)],
    tolerance: "exact",
    work: ({ rows = 0, columns = 0 }) => ({ bytes: 16 * rows * columns }),
    inputs: ({ rows = 0, columns = 0 }, random) => ({
      a: randomTensor(random, [rows, columns]),
      b: randomTensor(random, [rows, columns]),
    }),
    expected(inputs, values) {
      const [rows, columns] = read(values, "rows", "columns");
      const [a, b] = [dataOf(inputs, "a"), dataOf(inputs, "b")];
      const at = (index: number): number => {
        const [row, column] = [Math.floor(index / (2 * columns)), index % (2 * columns)];
        return column < columns ? a[row * columns + column]! : b[row * columns + column - columns]!;
      };
      return [float32Output([rows, 2 * columns], at)];
    },
  },
];
