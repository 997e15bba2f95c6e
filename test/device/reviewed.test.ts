/** Defects that a review found: each of these once gave wrong numbers, a hang or a broken runtime. */

import { expect, test } from "vitest";

import { openRuntime } from "../harness.ts";
import { caught } from "../support/caught.ts";

test("an allocation past 2^32 granules is refused, and the allocator is as it was", async () => {
  const rt = await openRuntime();
  const small = rt.zeros([4], { dtype: "float32" });
  const before = rt.stats().deviceHeap;
  for (const count of [2 ** 40, 2 ** 40 + 5 * 256]) {
    const error = caught(() => rt.empty([count], { dtype: "uint8", label: "huge" }));
    expect(error.code).toBe("LIMIT_EXCEEDED");
  }
  expect(rt.stats().deviceHeap.freeBytes).toBe(before.freeBytes);
  small.dispose();
  await rt.dispose();
});

test("a readback buffer cannot be uploaded, and the work beside it is done", async () => {
  const rt = await openRuntime();
  const pinned = rt.pinned.tensor({
    shape: [4],
    dtype: "float32",
    direction: "readback",
    label: "p",
  });
  const one = rt.full([4], 1, { dtype: "float32" });
  const two = rt.add(one, 1);
  expect(caught(() => rt.upload(pinned)).message).toMatch(/"p" is pinned for readback/);
  expect([...(await two.data())]).toEqual([2, 2, 2, 2]);
  for (const tensor of [pinned, one, two]) tensor.dispose();
  await rt.dispose();
});

test("work recorded before a new slab is submitted by itself once the slab is there", async () => {
  const rt = await openRuntime();
  const warm = rt.zeros([4], { dtype: "float32" });
  await warm.data();
  const before = rt.stats().submitCount;
  const recorded = rt.add(warm, 1);
  const large = rt.empty([8 << 20], { dtype: "uint8" });
  await expect.poll(() => rt.stats().submitCount).toBeGreaterThan(before);
  for (const tensor of [warm, recorded, large]) tensor.dispose();
  await rt.dispose();
});

test("a refused operation of too many axes leaves other operations as they were", async () => {
  const rt = await openRuntime();
  const half = rt.tensor(new Uint16Array([0x3c00, 0x4000]), { shape: [2], dtype: "float16" });
  const x = rt.zeros(
    Array.from({ length: 32 }, (_, axis) => (axis % 2 === 0 ? 2 : 1)),
    { dtype: "float32" },
  );
  const wide = x.broadcastTo(Array.from({ length: 32 }, () => 2));
  expect(caught(() => rt.cast(wide, "float32")).code).toBe("LIMIT_EXCEEDED");
  const cast = rt.cast(half, "float32");
  expect([...(await cast.data())]).toEqual([1, 2]);
  for (const tensor of [half, x, cast]) tensor.dispose();
  await rt.dispose();
});

test("after dispose() was called nothing new is taken, while what is pending ends", async () => {
  const rt = await openRuntime();
  const x = rt.full([4], 3, { dtype: "float32" });
  const reading = x.data();
  x.dispose();
  const disposing = rt.dispose();
  expect(caught(() => rt.pinned.tensor({ shape: [4], dtype: "float32" })).code).toBe(
    "RUNTIME_DISPOSED",
  );
  await expect(rt.scope(() => 1)).rejects.toMatchObject({ code: "RUNTIME_DISPOSED" });
  expect([...(await reading)]).toEqual([3, 3, 3, 3]);
  await disposing;
});

test("options that cannot be right are refused before a device is opened", async () => {
  for (const options of [
    { slabBytes: Number.NaN },
    { slabBytes: -4 },
    { budget: { deviceByte: 1 } as object },
    { waiting: "slep" as "sleep" },
    { idleMs: Number.NaN },
    { idleMs: -5 },
    { bugdet: {} } as object,
  ]) {
    await expect(openRuntime(options)).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
  }
});

test("a tensor whose kernel failed is whole again when it is written", async () => {
  const { defineElementwise } = await import("moorage/node");
  const rt = await openRuntime();
  const x = rt.full([2], 1, { dtype: "float32" });
  const bad = rt.map(
    defineElementwise({
      label: "bad",
      inputs: ["a"],
      output: "float32",
      expression: "nonsense(a)",
    }),
    [x],
  );
  await expect(bad.data()).rejects.toMatchObject({ code: "KERNEL_COMPILATION" });
  rt.write(bad, new Float32Array([5, 6]));
  expect([...(await bad.data())]).toEqual([5, 6]);
  x.dispose();
  bad.dispose();
  await rt.dispose();
});
