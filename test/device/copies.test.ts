/** Copies and zeros that the device makes itself, without a kernel, and those that it cannot. */

import { defineElementwise, KiB, MiB } from "moorage";
import type { Runtime } from "moorage/node";
import { describe, expect, test } from "vitest";

import { openRuntime, useRuntime } from "../harness.ts";
import { codeOfRejection } from "../support/caught.ts";

const rt = useRuntime();

const counting = (count: number): Float32Array<ArrayBuffer> =>
  Float32Array.from({ length: count }, (_, index) => index);

/** What `work` gives, and how many kernels it ran. */
async function kernelsIn<T>(own: Runtime, work: () => T): Promise<readonly [T, number]> {
  // Nothing waits for a new slab: what is recorded is counted at once.
  await own.reserve(8 * MiB);
  const { dispatchCount } = own.stats();
  const result = work();
  return [result, own.stats().dispatchCount - dispatchCount];
}

describe("a copy", () => {
  test.each([1, 3, 4, 5, 1000, 100_001])("of %d bytes is the device's own", async (count) => {
    const bytes = Uint8Array.from({ length: count }, (_, index) => index * 7);
    const x = rt().tensor(bytes, { shape: [count], dtype: "uint8", label: "x" });
    const [y, kernels] = await kernelsIn(rt(), () => rt().copy(x));
    expect(kernels).toBe(0);
    expect(Buffer.compare(await y.data(), bytes)).toBe(0);
    for (const tensor of [x, y]) tensor.dispose();
  });

  test.each([
    { what: "rows", slice: [[2, 5], null], kernels: 0 },
    { what: "every second of a few rows", slice: [[0, 12, 2], null], kernels: 0 },
    {
      what: "columns of a few rows",
      slice: [
        [1, 9],
        [3, 7],
      ],
      kernels: 0,
    },
    { what: "columns of many rows", slice: [null, [3, 7]], kernels: 1 },
    {
      what: "every second column",
      slice: [
        [0, 2],
        [0, 8, 2],
      ],
      kernels: 0,
    },
    { what: "one column", slice: [null, 3], kernels: 1 },
  ] as const)("of $what takes $kernels kernels", async ({ slice, kernels }) => {
    const x = rt().tensor(counting(160), { shape: [20, 8], dtype: "float32", label: "x" });
    const view = x.slice(...slice);
    const [y, ran] = await kernelsIn(rt(), () => rt().copy(view));
    expect(ran).toBe(kernels);
    const target = rt().full([...view.shape, 1], -1, { dtype: "float32" });
    rt().assign(target.reshape(view.shape), view);
    // The sum of a view is made by a kernel in any case.
    const twice = rt().add(view, view);
    const expected = (await twice.data()).map((value) => value / 2);
    expect(await y.data()).toEqual(expected);
    expect(await target.data()).toEqual(expected);
    for (const tensor of [x, y, target, twice]) tensor.dispose();
  });

  test("of what does not lie on words is a kernel's, and touches no neighbour", async () => {
    const bytes = Uint8Array.from({ length: 16 }, (_, index) => index + 1);
    const x = rt().tensor(bytes, { shape: [16], dtype: "uint8", label: "x" });
    const y = rt().zeros([16], { dtype: "uint8", label: "y" });
    const [, kernels] = await kernelsIn(rt(), () => {
      rt().assign(y.slice([1, 6]), x.slice([1, 6]));
      rt().assign(y.slice([8, 12]), x.slice([9, 13]));
      rt().assign(y.slice([12, 15]), x.slice([12, 15]));
    });
    expect(kernels).toBe(3);
    expect([...(await y.data())]).toEqual([0, 2, 3, 4, 5, 6, 0, 0, 10, 11, 12, 13, 13, 14, 15, 0]);
    for (const tensor of [x, y]) tensor.dispose();
  });

  test("within one buffer is a kernel's", async () => {
    const own = await openRuntime({ budget: { deviceBytes: 64 * KiB }, slabBytes: 64 * KiB });
    const x = own.tensor(counting(1000), { shape: [1000], dtype: "float32", label: "x" });
    await own.sync();
    const { dispatchCount } = own.stats();
    const y = own.copy(x);
    expect(own.stats().dispatchCount).toBe(dispatchCount + 1);
    expect(own.stats().slabs.count).toBe(1);
    expect(await y.data()).toEqual(counting(1000));
    for (const tensor of [x, y]) tensor.dispose();
    await own.dispose();
  });

  test("is made in its turn, while work is held back too", async () => {
    const own = await openRuntime();
    for (const round of [0, 1, 2]) {
      const x = own.full([1000], round, { dtype: "float32", label: "x" });
      const before = own.copy(x);
      const more = own.add(x, 1);
      own.assign(x, more);
      more.dispose();
      const after = own.copy(x);
      own.fill(x, 0);
      const last = own.copy(x);
      const firsts = [before, after, last].map((tensor) => tensor.slice(0).item());
      expect(await Promise.all(firsts)).toEqual([round, round + 1, 0]);
      for (const tensor of [x, before, after, last]) tensor.dispose();
    }
    await own.dispose();
  });

  test("of what has failed has failed", async () => {
    const own = await openRuntime({ onError: () => {} });
    const bad = defineElementwise({
      label: "bad",
      inputs: ["a"],
      output: "float32",
      expression: "a + no_such_name",
    });
    const x = own.zeros([100], { dtype: "float32", label: "x" });
    const failed = own.map(bad, [x]);
    const early = own.copy(failed);
    expect(await codeOfRejection(failed.data())).toBe("KERNEL_COMPILATION");
    const late = own.copy(failed);
    for (const copy of [early, late])
      expect(await codeOfRejection(copy.data())).toBe("KERNEL_COMPILATION");
    for (const tensor of [x, failed, early, late]) tensor.dispose();
    await own.dispose();
  });
});

describe("zeros", () => {
  test("are the device's own where they lie in a run of words", async () => {
    const x = rt().tensor(counting(64), { shape: [8, 8], dtype: "float32", label: "x" });
    const [y, kernels] = await kernelsIn(rt(), () => {
      rt().fill(x.slice([1, 3]), 0);
      rt().fill(x.slice(4, [2, 4]), 0);
      return rt().zeros([7], { dtype: "uint8", label: "y" });
    });
    expect(kernels).toBe(0);
    const expected = counting(64).fill(0, 8, 24).fill(0, 34, 36);
    expect(await x.data()).toEqual(expected);
    expect([...(await y.data())]).toEqual([0, 0, 0, 0, 0, 0, 0]);
    for (const tensor of [x, y]) tensor.dispose();
  });

  test("elsewhere are a kernel's, and so is every other number", async () => {
    const x = rt().full([8], 9, { dtype: "uint8", label: "x" });
    const y = rt().full([4], -0, { dtype: "float32", label: "y" });
    const [, kernels] = await kernelsIn(rt(), () => {
      rt().fill(x.slice([1, 3]), 0);
      rt().fill(x.slice([4, 8, 2]), 0);
      rt().fill(y, -0);
    });
    expect(kernels).toBe(3);
    expect([...(await x.data())]).toEqual([9, 0, 0, 9, 0, 9, 0, 9]);
    expect(Object.is((await y.data())[0], -0)).toBe(true);
    for (const tensor of [x, y]) tensor.dispose();
  });
});
