import { expect, test } from "vitest";

import { CommandError, readCommandLine } from "../../bench/node/command-line.ts";

test("a full run has every contestant, a quick one Moorage and the floor", () => {
  expect(readCommandLine([]).contestants).toHaveLength(7);
  const quick = readCommandLine(["--quick"]);
  expect(quick.contestants).toEqual(["moorage", "raw", "create-buffer"]);
  expect([quick.quick, quick.repetitionCount, quick.json]).toEqual([true, 1, undefined]);
  expect(quick.seed).toBeGreaterThan(0);
});

test("names are lists and beginnings", () => {
  const command = readCommandLine([
    "--suite=kernels,host",
    "--case",
    "matmul,read back",
    "--size",
    "256, 16 live,64",
    "--contestant",
    "jax,raw",
  ]);
  expect(command.suites).toEqual(["kernels", "host"]);
  expect(command.cases).toEqual(["matmul", "read back"]);
  expect(command.sizes).toEqual(["256, 16 live", "64"]);
  expect(command.contestants).toEqual(["raw", "jax-eager", "jax-jit"]);
});

test.each([
  [["--suite", "kernel5"], "--suite"],
  [["--contestant", "torch"], "--contestant"],
  [["--seed", "-3"], "--seed"],
  [["--repetitions", "two"], "--repetitions"],
  [["--adapter", "gpu"], "--adapter"],
  [["--nonsense"], "nonsense"],
  [["positional"], "positional"],
])("%j is refused in words", (args, word) => {
  expect(() => readCommandLine(args)).toThrow(CommandError);
  expect(() => readCommandLine(args)).toThrow(word);
});
