/** Reading back: many at once, into arrays that are there, without a copy, and with staging spent. */

import { KiB, MiB } from "moorage";
import { describe, expect, test } from "vitest";

import { openRuntime, useRuntime } from "../harness.ts";
import { codeOf, codeOfRejection } from "../support/caught.ts";

const rt = useRuntime();

function counting(count: number, from = 0): Float32Array<ArrayBuffer> {
  return Float32Array.from({ length: count }, (_, index) => from + index);
}

describe("readAll", () => {
  test("many tensors of all sorts in one submission", async () => {
    const bytes = Uint8Array.from({ length: 7 }, (_, index) => index);
    const tensors = [
      rt().tensor(counting(5), { shape: [5], dtype: "float32" }),
      rt().tensor(bytes, { shape: [7], dtype: "uint8" }),
      rt().tensor(counting(6), { shape: [2, 3], dtype: "float32" }),
    ];
    const views = [tensors[2]!.transpose(), tensors[1]!.slice([1, 4])];
    await rt().sync();
    const before = rt().stats().submitCount;
    const read = await rt().readAll([...tensors, ...views]);
    expect(rt().stats().submitCount - before).toBe(1);
    expect(read).toEqual([
      counting(5),
      bytes,
      counting(6),
      Float32Array.of(0, 3, 1, 4, 2, 5),
      Uint8Array.of(1, 2, 3),
    ]);
    expect(await rt().readAll([])).toEqual([]);
    for (const tensor of tensors) tensor.dispose();
  });
});

describe("readInto", () => {
  test("fills the array that it is given", async () => {
    const x = rt().tensor(counting(8), { shape: [8], dtype: "float32" });
    const target = new Float32Array(8);
    await x.readInto(target);
    expect(target).toEqual(counting(8));
    const part = new Float32Array(12);
    await x.slice([2, 6]).readInto(part.subarray(4, 8));
    expect(Array.from(part)).toEqual([0, 0, 0, 0, 2, 3, 4, 5, 0, 0, 0, 0]);
    x.dispose();
  });

  test("refuses another size and another dtype", async () => {
    const x = rt().tensor(counting(8), { shape: [8], dtype: "float32" });
    expect(await codeOfRejection(x.readInto(new Float32Array(7)))).toBe("INVALID_ARGUMENT");
    expect(await codeOfRejection(x.readInto(new Int32Array(8) as never))).toBe("UNSUPPORTED_DTYPE");
    x.dispose();
  });
});

describe("a lease", () => {
  test("shows the elements until it is disposed, and the array dies with it", async () => {
    const x = rt().tensor(counting(300), { shape: [300], dtype: "float32", label: "result" });
    const lease = await x.lease();
    const { data } = lease;
    expect(data).toEqual(counting(300));
    expect(rt().stats().pinned.liveBytes).toBe(1200);
    // It holds the bytes of then.
    rt().fill(x, 0);
    await rt().sync();
    expect(lease.data[299]).toBe(299);
    lease.dispose();
    lease.dispose();
    expect(data).toHaveLength(0);
    expect(codeOf(() => lease.data)).toBe("USE_AFTER_DISPOSE");
    x.dispose();
  });
});

test("with staging spent a read waits for it, and gives the bytes of the time when it was asked", async () => {
  const own = await openRuntime({ budget: { pinnedBytes: 64 * KiB } });
  const x = own.tensor(counting(8 * KiB), { shape: [8 * KiB], dtype: "float32" });
  const reads = Array.from({ length: 6 }, (_, round) => {
    const read = x.data();
    own.fill(x, round);
    return read;
  });
  const results = await Promise.all(reads);
  expect(results[0]).toEqual(counting(8 * KiB));
  for (const [round, data] of results.entries()) {
    if (round > 0) expect(new Set(data)).toEqual(new Set([round - 1]));
  }
  expect(own.stats().pinned.reserved.peak).toBeLessThanOrEqual(64 * KiB);
  x.dispose();
  await own.dispose();
});

test("a tensor larger than all staging is read through a window, as it is when it is asked for", async () => {
  const own = await openRuntime({ budget: { pinnedBytes: 64 * KiB } });
  const x = own.tensor(counting(64 * KiB), { shape: [64 * KiB], dtype: "float32", label: "large" });
  const small = own.tensor(counting(1000), { shape: [1000], dtype: "float32", label: "small" });
  const readings = [x.data(), own.readAll([small, x]), x.slice([8, 64 * KiB]).data()] as const;
  own.fill(x, -1);
  const [all, [one, again], part] = await Promise.all(readings);
  expect(all).toEqual(counting(64 * KiB));
  expect(one).toEqual(counting(1000));
  expect(again).toEqual(counting(64 * KiB));
  expect([part.length, part[0], part.at(-1)]).toEqual([64 * KiB - 8, 8, 64 * KiB - 1]);
  expect(new Set(await x.data())).toEqual(new Set([-1]));
  expect(own.stats().pinned.reserved.peak).toBeLessThanOrEqual(64 * KiB);
  // What is lent is one buffer.
  expect(await codeOfRejection(x.lease())).toBe("OUT_OF_MEMORY");
  for (const tensor of [x, small]) tensor.dispose();
  await own.dispose();
});

test.each([2 * MiB + 4, 5 * MiB - 3, 17 * MiB])(
  "%d bytes arrive in pieces as they are when they are asked for, from any start",
  async (count) => {
    const own = await openRuntime();
    const bytes = new Uint8Array(count + 8);
    for (let index = 0; index < bytes.length; index++) bytes[index] = (index * 31) ^ (index >> 9);
    const x = own.tensor(bytes, { shape: [count + 8], dtype: "uint8", label: "large" });
    const reading = x.data();
    const part = x.slice([4, 4 + count]).data();
    own.fill(x, 7);
    expect(Buffer.compare(await reading, bytes)).toBe(0);
    expect(Buffer.compare(await part, bytes.subarray(4, 4 + count))).toBe(0);
    const target = new Uint8Array(count + 20);
    await x.slice([0, count]).readInto(target.subarray(10, 10 + count));
    expect(new Set(target.subarray(10, 10 + count))).toEqual(new Set([7]));
    expect([target[9], target[10 + count]]).toEqual([0, 0]);
    x.dispose();
    await own.dispose();
  },
);

test("a large read that does not find staging for all its pieces waits for the others", async () => {
  const own = await openRuntime({ budget: { pinnedBytes: 6 * MiB } });
  const x = own.tensor(counting(MiB), { shape: [MiB], dtype: "float32" });
  const y = own.tensor(counting(MiB, 5), { shape: [MiB], dtype: "float32" });
  const [a, b] = await Promise.all([x.data(), y.data()]);
  expect([a[MiB - 1], b[0], b[MiB - 1]]).toEqual([MiB - 1, 5, MiB + 4]);
  for (const one of [x, y]) one.dispose();
  await own.dispose();
});

test("a read is submitted in the task that asks for it, and asks for no other task", async () => {
  const own = await openRuntime();
  const x = own.tensor(counting(8), { shape: [8], dtype: "float32" });
  await x.data();
  const before = own.stats().submitCount;
  const reading = x.data();
  expect(own.stats().submitCount).toBe(before + 1);
  expect(await reading).toEqual(counting(8));
  expect(own.stats().submitCount).toBe(before + 1);
  x.dispose();
  await own.dispose();
});
