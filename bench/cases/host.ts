/** Memory on the host: what scopes, staging and the heap cost without any GPU work. */

import type { BenchCase, CaseSize } from "../core/contract.ts";
import { dataOf, float32Output, randomTensor } from "./shapes.ts";

const MiB = 2 ** 20;

const KiB = 1024;

function arraySize(label: string, bytes: number, isFilled = false): CaseSize {
  return { label, values: { count: 256, elements: bytes / 4, isFilled: isFilled ? 1 : 0 } };
}

/** `count` arrays, one after the other; each has its number in its first and last element, which are summed. */
function arrays(name: string, about: string, sizes: readonly CaseSize[]): BenchCase {
  return {
    suite: "host",
    name,
    about,
    sizes,
    tolerance: "exact",
    work: ({ count = 0 }) => ({ operations: count }),
    inputs: () => ({}),
    expected: (_, { count = 0 }) => [float32Output([count], (index) => 2 * index)],
  };
}

export const hostCases: readonly BenchCase[] = [
  arrays(
    "array in an arena",
    "256 float32 arrays, each with its number in its first and last element (or in all), which are summed; in an arena that is reset when it is full",
    [arraySize("1 KiB", KiB), arraySize("1 MiB", MiB), arraySize("1 MiB, filled", MiB, true)],
  ),
  arrays("array on the general heap", "the same, each disposed before the next", [
    arraySize("1 KiB", KiB),
    arraySize("4 KiB", 4 * KiB),
    arraySize("1 MiB", MiB),
  ]),
  {
    suite: "host",
    name: "element access",
    about: "the sum of a float32 matrix on the host, element by element, by index",
    sizes: [{ label: "256x256", values: { rows: 256, columns: 256 } }],
    tolerance: "sum",
    work: ({ rows = 0, columns = 0 }) => ({ operations: rows * columns }),
    inputs: ({ rows = 0, columns = 0 }, random) => ({ x: randomTensor(random, [rows, columns]) }),
    expected(inputs) {
      const x = dataOf(inputs, "x");
      return [float32Output([1], () => (x as Float32Array).reduce((sum, value) => sum + value, 0))];
    },
  },
  {
    suite: "host",
    name: "bump allocation",
    about:
      "`count` float32 arrays of 64 elements in a scope, the first element of each set to its number; all end together",
    sizes: [
      { label: "100", values: { count: 100, elements: 64 } },
      { label: "10000", values: { count: 10_000, elements: 64 }, quick: true },
    ],
    tolerance: "exact",
    work: ({ count = 0 }) => ({ operations: count }),
    inputs: () => ({}),
    expected: (_, { count = 0 }) => [float32Output([count], (index) => index)],
  },
  {
    suite: "host",
    name: "pinned allocation",
    about:
      "`count` mapped blocks of 64 KiB, allocated and freed one after the other; each is set to its number",
    sizes: [{ label: "100 x 64 KiB", values: { count: 100, bytes: 65_536 }, quick: true }],
    tolerance: "exact",
    work: ({ count = 0 }) => ({ operations: count }),
    inputs: () => ({}),
    expected: (_, { count = 0 }) => [float32Output([count], (index) => index)],
  },
  {
    suite: "host",
    name: "copy into pinned memory",
    about: "an array is copied into a mapped block of its size, which is freed",
    sizes: [
      { label: "1 MiB", values: { bytes: MiB }, quick: true },
      { label: "64 MiB", values: { bytes: 64 * MiB } },
    ],
    tolerance: "exact",
    work: ({ bytes = 0 }) => ({ hostBytes: 2 * bytes }),
    inputs: ({ bytes = 0 }, random) => ({ x: randomTensor(random, [bytes / 4]) }),
    expected(inputs, { bytes = 0 }) {
      const x = dataOf(inputs, "x");
      return [float32Output([bytes / 4], (index) => x[index]!)];
    },
  },
  {
    suite: "host",
    name: "general heap allocation",
    about: "`count` blocks of 64 elements that become unreachable",
    sizes: [{ label: "10000", values: { count: 10_000, elements: 64 }, quick: true }],
    tolerance: "exact",
    work: ({ count = 0 }) => ({ operations: count }),
    inputs: () => ({}),
    expected: (_, { count = 0 }) => [float32Output([count], (index) => index)],
  },
];
