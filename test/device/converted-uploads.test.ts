/** Elements that change their dtype on the way to the device: what they become is what a cast gives. */

import type { DType, HostDType } from "moorage";
import { dtypes, hostDtypes, HotArena, hostTensor, MiB } from "moorage";
import { describe, expect, test } from "vitest";

import { loseDevice, openRuntime, useRuntime } from "../harness.ts";
import { codeOf } from "../support/caught.ts";

const rt = useRuntime();

const values = [
  0, 1, -1, 2.75, -2.75, 127, 128, 255, 256, 40_000, -40_000, 70_000, 5e9, -5e9, 1e30,
];
const numbers = [...values, Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];

describe.each(hostDtypes)("from %s", (from: HostDType) => {
  test.each(dtypes)("to %s", async (to: DType) => {
    const arena = HotArena.fixed({ byteLength: 4096, label: "reference" });
    const shape = [numbers.length];
    const table = hostTensor(arena, { shape: [2, ...shape], dtype: "float64", label: "table" });
    table.assign([...numbers, ...numbers.toReversed()]);
    // Every second element is of the other row: strided.
    const source = table.transpose().cast(from);
    const expected = source.cast(to);
    const x = rt().upload(source, { dtype: to, label: "contiguous" });
    const turned = rt().upload(source.transpose(), { dtype: to, label: "strided" });
    const plain = rt().tensor(source.data, { shape: [numbers.length, 2], dtype: to, from });
    const whole = rt().zeros([numbers.length, 2], { dtype: to, label: "written" });
    rt().write(whole, source.data, { from });
    for (const made of [x, plain, whole]) {
      expect(made.shape).toEqual([numbers.length, 2]);
      expect(await made.data(), made.label).toEqual(expected.data);
      made.dispose();
    }
    expect(await turned.data()).toEqual(expected.transpose().copy().data);
    turned.dispose();
    arena.end();
  });
});

test.each([
  ["uint8", "float32"],
  ["float64", "float16"],
  ["int16", "uint8"],
] as const)("from %s to %s, into a view, whose neighbours stay", async (from, to) => {
  const arena = HotArena.fixed({ byteLength: 4096, label: "reference" });
  const source = hostTensor(arena, { shape: [3, 2], dtype: from, label: "source" });
  source.assign([1, 2, 3, 4, 5, 6]);
  const part = rt().zeros([3, 3], { dtype: to, label: "part" });
  rt().write(part.slice(null, [0, 2]), source.data, { from });
  const elements = await rt().read(part, { dtype: "float32" });
  expect(elements).toEqual(new Float32Array([1, 2, 0, 3, 4, 0, 5, 6, 0]));
  part.dispose();
  arena.end();
});

test("more than staging has in one piece", async () => {
  const count = 2 * MiB + 3;
  const data = Float64Array.from({ length: count }, (_, index) => index / 3);
  const x = rt().tensor(data, { shape: [count], dtype: "float32", from: "float64", label: "x" });
  const read = await x.data();
  // `toEqual` takes seconds for so many.
  expect(read.length).toBe(count);
  expect(read.findIndex((value, index) => value !== Math.fround(data[index]!))).toBe(-1);
  x.dispose();
});

test("narrow elements travel as they are", async () => {
  const own = await openRuntime();
  await own.reserve(MiB);
  const pixels = new Uint8Array(64);
  const x = own.tensor(pixels, { shape: [64], dtype: "float32", from: "uint8", label: "x" });
  expect(own.stats().dispatchCount).toBe(1);
  const wide = new Float64Array(64);
  const y = own.tensor(wide, { shape: [64], dtype: "float32", from: "float64", label: "y" });
  expect(own.stats().dispatchCount).toBe(1);
  for (const tensor of [x, y]) tensor.dispose();
  expect(own.stats().deviceArena.liveBytes).toBe(0);
  await own.dispose();
});

test("an array of a dtype is its tensor's source, converted again after a loss", async () => {
  const own = await openRuntime({ onLost: () => {} });
  const data = new Int16Array([1, -2, 300]);
  const options = { from: "int16", source: true, label: "x" } as const;
  const x = own.tensor(data, { shape: [3], dtype: "float32", ...options });
  const y = own.zeros([3], { dtype: "int32", label: "y" });
  own.write(y, data, options);
  await own.sync();
  loseDevice(own.device);
  await own.lost;
  expect((await own.restore()).restored).toBe(2);
  expect(await x.data()).toEqual(new Float32Array(data));
  expect(await y.data()).toEqual(new Int32Array(data));
  for (const tensor of [x, y]) tensor.dispose();
  await own.dispose();
});

test("memory of a module, from any byte on", async () => {
  const memory = new WebAssembly.Memory({ initial: 1 });
  const halves = new Int16Array(memory.buffer, 2, 5);
  halves.set([1, 2, 3, -4, 5]);
  const x = rt().tensor(halves, { shape: [5], dtype: "float32", from: "int16", label: "x" });
  expect(await x.data()).toEqual(new Float32Array([1, 2, 3, -4, 5]));
  x.dispose();
});

test("another array than was said, another count, and a dtype that the device lacks are refused", async () => {
  const data = new Float64Array(4);
  const as =
    (options: object): (() => unknown) =>
    () =>
      rt().tensor(data, { shape: [4], dtype: "float32", ...options });
  expect(codeOf(as({}))).toBe("UNSUPPORTED_DTYPE");
  expect(codeOf(as({ from: "int16" }))).toBe("UNSUPPORTED_DTYPE");
  expect(codeOf(as({ from: "float64", shape: [5] }))).toBe("INVALID_ARGUMENT");
  expect(codeOf(as({ from: "float64", dtype: "float64" }))).toBe("UNSUPPORTED_DTYPE");
  expect(codeOf(as({ from: "float65" }))).toBe("UNSUPPORTED_DTYPE");
  const arena = HotArena.fixed({ byteLength: 4096, label: "host" });
  const table = hostTensor(arena, { shape: [4], dtype: "float64", label: "table" });
  // @ts-expect-error -- the device has no float64: a dtype must be told
  expect(codeOf(() => rt().upload(table))).toBe("UNSUPPORTED_DTYPE");
  const ended = hostTensor(arena, { shape: [4], dtype: "float32", label: "ended" });
  const kept = rt().upload(ended);
  ended.dispose();
  expect(codeOf(() => rt().upload(ended))).toBe("USE_AFTER_DISPOSE");
  kept.dispose();
  arena.end();
  // What was converted lies in staging until then.
  await rt().sync();
});
