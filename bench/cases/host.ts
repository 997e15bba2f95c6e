/** Memory on the host: what scopes, staging and the heap cost without any GPU work. */

import type { BenchCase } from "../core/contract.ts";
import { dataOf, float32Output, randomTensor } from "./shapes.ts";

const MiB = 2 ** 20;

export const hostCases: readonly BenchCase[] = [
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
