/** The list of cases is the one that was promised; contestants and tolerances know every name. */

import { expect, test } from "vitest";

import { allCases } from "../../bench/cases/index.ts";
import { suites } from "../../bench/core/contract.ts";
import { randomFrom } from "../../bench/core/random.ts";
import { toleranceOf } from "../../bench/core/tolerances.ts";

/** What was promised, and the cases that stand for it. */
const promised: readonly (readonly [what: string, cases: readonly string[]])[] = [
  ["allocation churn over log-uniform sizes with a live window", ["allocation churn"]],
  ["churn with a fill", ["allocation churn with a fill"]],
  ["upload by every path", ["upload", "upload into a tensor", "upload through pinned memory"]],
  ["readback by every path", ["read back", "read back into an array", "read back many"]],
  ["1 to 1,000 dependent small kernels", ["dependent small kernels"]],
  ["CPU time of recording alone", ["recording"]],
  ["element-wise chains of 1 to 20", ["element-wise chain"]],
  ["sum, max, argmax over all", ["sum", "max", "argmax"]],
  [
    "sum, max, argmax over an axis",
    ["sum along an axis", "max along an axis", "argmax along an axis"],
  ],
  ["softmax, layer norm, rms norm", ["softmax", "layer norm", "rms norm"]],
  ["matmul from 64 to 4096", ["matmul"]],
  ["matmul, batched", ["batched matmul"]],
  [
    "matmul with transposed and sliced operands",
    ["matmul of a transposed operand", "matmul of a sliced operand"],
  ],
  ["matmul with bias and activation", ["matmul with bias and activation"]],
  ["transpose and n-d permute", ["transpose", "permute"]],
  ["slice, gather, concat", ["slice", "gather", "concat"]],
  ["cast", ["cast"]],
  ["conv2d", ["conv2d"]],
  ["an MLP", ["mlp"]],
  ["one transformer block", ["transformer block"]],
  ["decoding with a key-value cache", ["key-value decoding"]],
  ["the edge-map job", ["edge map"]],
  [
    "memory on the host",
    ["bump allocation", "pinned allocation", "copy into pinned memory", "general heap allocation"],
  ],
  ["arrays on the host", ["array in an arena", "array on the general heap", "element access"]],
  [
    "peak device memory",
    ["peak of a chain", "peak of a varying batch", "peak of growing key-value tensors"],
  ],
];

const find = (name: string) => allCases.find((each) => each.name === name)!;
const values = (name: string, key: string): number[] =>
  find(name).sizes.map((size) => size.values[key]!);

test("every promised case is there, and no other but cold starts", () => {
  const names = allCases.map(({ name }) => name);
  expect(new Set(names).size).toBe(names.length);
  const warm = names.filter((name) => !name.startsWith("cold start: "));
  expect(warm.toSorted()).toEqual(promised.flatMap(([, cases]) => cases).toSorted());
});

test("every kernel has a cold start", () => {
  const cold = (name: string): string => `cold start: ${name}`;
  const kernels = allCases.filter((each) => each.suite === "kernels" && each.cold !== true);
  const names = allCases.filter((each) => each.cold === true).map(({ name }) => name);
  expect(names).toEqual(kernels.map(({ name }) => cold(name)));
});

test("sizes reach as far as promised", () => {
  expect(values("matmul", "n")).toEqual([64, 256, 512, 1024, 2048, 4096]);
  for (const transfer of ["upload", "read back"]) {
    expect(Math.min(...values(transfer, "bytes"))).toBe(4);
    expect(Math.max(...values(transfer, "bytes"))).toBe(256 * 2 ** 20);
  }
  expect(values("dependent small kernels", "count")).toEqual([1, 10, 100, 1000]);
  const chain = values("element-wise chain", "count");
  expect([Math.min(...chain), Math.max(...chain)]).toEqual([1, 20]);
});

test("every suite has cases in a quick run, and a quick run is a part of the full one", () => {
  for (const suite of suites) {
    const quick = allCases.filter(
      (each) => each.suite === suite && each.sizes.some((s) => s.quick),
    );
    expect(quick.length, suite).toBeGreaterThan(0);
  }
});

test("every case names a tolerance, and one size of it a key", () => {
  for (const each of allCases) {
    expect(() => toleranceOf(each.tolerance), each.name).not.toThrow();
    const labels = each.sizes.map(({ label }) => label);
    expect(new Set(labels).size, each.name).toBe(labels.length);
  }
});

test("inputs are the same for a seed and others for another", () => {
  const benchCase = find("softmax");
  const size = benchCase.sizes[0]!.values;
  const data = (seed: number): number[] => [...benchCase.inputs(size, randomFrom(seed))["x"]!.data];
  expect(data(1)).toEqual(data(1));
  expect(data(1)).not.toEqual(data(2));
});
