import { expect, test } from "vitest";

import { useRuntime } from "../harness.ts";
import { caught, codeOf, codeOfRejection } from "../support/caught.ts";

const rt = useRuntime();

test.each([
  [
    "a zero-sized shape",
    () => rt().zeros([3, 0], { dtype: "float32", label: "t" }),
    "INVALID_LAYOUT",
  ],
  ["a broken axis", () => rt().empty([1.5], { dtype: "float32", label: "t" }), "INVALID_LAYOUT"],
  [
    "elements past 2^53",
    () => rt().empty([2 ** 30, 2 ** 30], { dtype: "uint8", label: "t" }),
    "SIZE_OVERFLOW",
  ],
  [
    "bytes past 2^53",
    () => rt().empty([2 ** 26, 2 ** 26], { dtype: "float32", label: "t" }),
    "SIZE_OVERFLOW",
  ],
  [
    "an array of another dtype",
    () => rt().tensor(new Float64Array(2), { shape: [2], dtype: "float32", label: "t" }),
    "UNSUPPORTED_DTYPE",
  ],
  [
    "too few elements",
    () => rt().tensor(new Float32Array(2), { shape: [3], dtype: "float32", label: "t" }),
    "INVALID_ARGUMENT",
  ],
  [
    "too many elements",
    () => rt().tensor(new Uint8Array(9), { shape: [2, 2], dtype: "uint8", label: "t" }),
    "INVALID_ARGUMENT",
  ],
  [
    "pinned memory of no size",
    () => rt().pinned.tensor({ shape: [0], dtype: "uint8", label: "t" }),
    "INVALID_LAYOUT",
  ],
] as const)("%s is refused by label, and allocates nothing", (_, make, code) => {
  const before = rt().stats().deviceHeap;
  expect(caught(make)).toMatchObject({ code, label: "t" });
  expect(rt().stats().deviceHeap).toMatchObject({
    liveBytes: before.liveBytes,
    allocationCount: before.allocationCount,
  });
});

test("an unknown dtype is refused, and the message says which there are", () => {
  for (const make of [
    () => rt().empty([1], { dtype: "complex64" as never }),
    () => rt().pinned.tensor({ shape: [1], dtype: "complex64" as never }),
  ]) {
    const error = caught(make);
    expect(error.code).toBe("UNSUPPORTED_DTYPE");
    expect(error.message).toMatch(/complex64.*float32, float16, int32, uint32, uint8/);
  }
});

test.each([
  ["float64", "float32", new Float64Array(1)],
  ["int8", "int32", new Int8Array(1)],
  ["int16", "int32", new Int16Array(1)],
  ["uint16", "uint32", new Uint16Array(1)],
  ["bool", "uint8", new Uint8Array(1)],
])("%s is the host's: the message names the cast to %s", (dtype, cast, data) => {
  for (const make of [
    () => rt().empty([1], { dtype: dtype as never }),
    () => rt().tensor(data, { shape: [1], dtype: dtype as never }),
    () => rt().pinned.tensor({ shape: [1], dtype: dtype as never }),
  ]) {
    const error = caught(make);
    expect(error.code).toBe("UNSUPPORTED_DTYPE");
    expect(error.message).toContain(`cast("${cast}")`);
  }
});

test("writes of another size or dtype, and item() of many, are refused", async () => {
  using x = rt().tensor(Float32Array.of(0, 1, 2, 3), { shape: [4], dtype: "float32" });
  expect(codeOf(() => rt().write(x, new Float32Array(3)))).toBe("INVALID_ARGUMENT");
  expect(codeOf(() => rt().write(x, new Int32Array(4)))).toBe("UNSUPPORTED_DTYPE");
  expect(await codeOfRejection(x.item())).toBe("INVALID_LAYOUT");
  expect(codeOf(() => x.broadcastTo([0, 4]))).toBe("INVALID_LAYOUT");
  expect(codeOf(() => x.broadcastTo([2 ** 52, 4]))).toBe("SIZE_OVERFLOW");
  for (const bytes of [0, -1, NaN, 1.5])
    expect(await codeOfRejection(rt().reserve(bytes))).toBe("INVALID_ARGUMENT");
  expect(await x.toArray()).toEqual([0, 1, 2, 3]);
});
