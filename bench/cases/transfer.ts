/** Between host and device, by every path that a contestant has. */

import type { BenchCase, CaseSize } from "../core/contract.ts";
import { dataOf, float32Output, randomTensor, read } from "./shapes.ts";
import type { Inputs, Values } from "./shapes.ts";

const MiB = 2 ** 20;

const sizes: readonly CaseSize[] = [
  bytes("4 B", 4),
  { ...bytes("4 KiB", 4096), quick: true },
  { ...bytes("1 MiB", MiB), quick: true },
  bytes("16 MiB", 16 * MiB),
  bytes("64 MiB", 64 * MiB),
  bytes("256 MiB", 256 * MiB),
];

function bytes(label: string, count: number): CaseSize {
  return { label, values: { bytes: count } };
}

function transfer(name: string, about: string, chosen: readonly CaseSize[]): BenchCase {
  return {
    suite: "transfer",
    name,
    about,
    sizes: chosen,
    tolerance: "exact",
    work: ({ bytes: count = 0 }) => ({ transferBytes: count }),
    inputs: ({ bytes: count = 0 }, random) => ({ x: randomTensor(random, [count / 4]) }),
    expected: (inputs, values) => [same(inputs, values)],
  };
}

function same(inputs: Inputs, values: Values): ReturnType<typeof float32Output> {
  const [count] = read(values, "bytes");
  const x = dataOf(inputs, "x");
  return float32Output([count / 4], (index) => x[index]!);
}

const withoutQuick = sizes.map(({ label, values }) => ({ label, values }));

export const transferCases: readonly BenchCase[] = [
  transfer("upload", "a typed array becomes a tensor, which is disposed", sizes),
  transfer(
    "upload into a tensor",
    "a typed array is written into a tensor that is there",
    withoutQuick,
  ),
  transfer(
    "upload through pinned memory",
    "mapped memory is filled from an array, and goes into a tensor without a further copy on the host",
    sizes,
  ),
  transfer("read back", "a tensor's numbers arrive in a new typed array", sizes),
  transfer(
    "read back into an array",
    "a tensor's numbers arrive in a typed array that is there",
    withoutQuick,
  ),
  {
    suite: "transfer",
    name: "read back many",
    about: "`count` tensors of 4 KiB, all asked for at once",
    sizes: [
      { label: "16 x 4 KiB", values: { count: 16, elements: 1024 }, quick: true },
      { label: "256 x 4 KiB", values: { count: 256, elements: 1024 } },
    ],
    tolerance: "exact",
    work: ({ count = 0, elements = 0 }) => ({
      transferBytes: 4 * count * elements,
      operations: count,
    }),
    inputs: ({ count = 0, elements = 0 }, random) => ({
      x: randomTensor(random, [count, elements]),
    }),
    expected(inputs, values) {
      const [count, elements] = read(values, "count", "elements");
      const x = dataOf(inputs, "x");
      return [float32Output([count, elements], (index) => x[index]!)];
    },
  },
];
