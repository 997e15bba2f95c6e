/** New slabs exist only when the platform says so: what is recorded until then waits, and fails if it says no. */

import type { MoorageError } from "moorage";
import { OutOfMemoryError, KiB } from "moorage";
import type { Runtime } from "moorage/node";
import { expect, test, vi } from "vitest";

import { openRuntime } from "../harness.ts";
import { ownDevice, planOutOfMemory, slabOf } from "../support/adopted.ts";
import type { OutOfMemoryPlan } from "../support/adopted.ts";

const told: MoorageError[] = [];

/** A runtime of small slabs on a device whose out-of-memory scopes answer as planned. */
async function planned(
  plan: OutOfMemoryPlan,
  use: (rt: Runtime, scopes: () => number) => Promise<void>,
): Promise<void> {
  const device = await ownDevice();
  const scopes = planOutOfMemory(device, plan);
  const rt = await openRuntime({
    device,
    slabBytes: 64 * KiB,
    onError: (error) => told.push(error),
  });
  try {
    await use(rt, scopes);
    reconcile(rt);
  } finally {
    await rt.dispose();
    told.length = 0;
  }
}

/** `lostPages`: an open scope still counts the pages that a refused slab took with it. */
function reconcile(rt: Runtime, lostPages = 0): void {
  const { deviceHeap, deviceArena, slabs, gpuBuffers } = rt.stats();
  for (const region of [deviceHeap, deviceArena]) {
    const { liveBytes, paddingBytes, deferredBytes, freeBytes, reservedBytes } = region;
    expect(liveBytes + paddingBytes + deferredBytes + freeBytes, region.region).toBe(reservedBytes);
  }
  expect(deviceHeap.reservedBytes + deviceArena.reservedBytes).toBe(
    slabs.reservedBytes + lostPages,
  );
  expect(gpuBuffers.liveBytes).toBeGreaterThanOrEqual(slabs.reservedBytes);
}

const floats = (count: number, value: number): Float32Array<ArrayBuffer> =>
  new Float32Array(count).fill(value);
const big = (rt: Runtime, value: number, label: string) =>
  rt.tensor(floats(40_000, value), { shape: [40_000], dtype: "float32", label });

async function outOfMemory(promise: Promise<unknown>, label: string): Promise<void> {
  const error: unknown = await promise.then(
    () => expect.fail("it did not reject"),
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(OutOfMemoryError);
  expect(error).toMatchObject({ code: "OUT_OF_MEMORY", label });
  expect((error as Error).message).toContain(`"${label}"`);
  expect((error as Error).cause).toBeInstanceOf(GPUOutOfMemoryError);
}

test("a refused slab fails what depends on it, by label, and nothing else", async () => {
  await planned({ refuse: (scope) => scope === 2 }, async (rt) => {
    using x = rt.tensor(floats(8, 2), { shape: [8], dtype: "float32" });
    await x.data();
    using lost = big(rt, 1, "weights");
    using dependent = rt.add(lost, 1);
    using small = rt.sum(dependent);
    using y = rt.multiply(x, 3);
    const failures = [lost, dependent, small].map((tensor) =>
      outOfMemory(tensor.data(), "weights"),
    );
    expect(await y.data()).toEqual(floats(8, 6));
    await Promise.all(failures);
    await outOfMemory(lost.slice([0, 9, 2]).data(), "weights");
    using later = rt.add(small, 1);
    await outOfMemory(later.item(), "weights");
    expect([lost.state, dependent.state, y.state]).toEqual(["failed", "failed", "ready"]);
    reconcile(rt);
    // It works on, with room where the platform gives some.
    using found = big(rt, 4, "second try");
    using total = rt.sum(found);
    expect(await total.item()).toBe(160_000);
    expect(await y.data()).toEqual(floats(8, 6));
  });
});

test("a new slab in the place of a refused one is not written through the old handles", async () => {
  await planned({ refuse: (scope) => scope === 1 }, async (rt) => {
    using lost = big(rt, 1, "lost");
    await outOfMemory(lost.data(), "lost");
    using found = big(rt, 4, "found");
    await found.data();
    expect(slabOf(rt, found)).toBe(slabOf(rt, lost));
    rt.write(lost, floats(40_000, 9));
    rt.fill(lost, 9);
    rt.assign(lost.slice([0, 8]), found.slice([0, 8]));
    using pinned = rt.pinned.tensor({ shape: [40_000], dtype: "float32" });
    rt.write(lost, pinned);
    expect(new Set(await found.data())).toEqual(new Set([4]));
    await outOfMemory(lost.data(), "lost");
  });
});

test("inside a scope: its later allocations come from memory that exists", async () => {
  await planned({ refuse: (scope) => scope === 1 }, async (rt) => {
    await rt.scope(async (s) => {
      const lost = s.tensor(floats(8, 1), { shape: [8], dtype: "float32", label: "scratch" });
      s.empty([8], { dtype: "float32" });
      await outOfMemory(lost.data(), "scratch");
      const next = s.tensor(floats(8, 2), { shape: [8], dtype: "float32" });
      const sum = s.add(next, 1);
      expect(await sum.data()).toEqual(floats(8, 3));
      await outOfMemory(s.add(lost, next).data(), "scratch");
      const after = s.add(next, 5);
      lost.dispose();
      reconcile(rt, 256 * KiB);
      // What the lost tensor gives back is not room in the slab that has its place now.
      const more = Array.from({ length: 4 }, (_, n) => s.full([8], n, { dtype: "float32" }));
      expect(await after.data()).toEqual(floats(8, 7));
      expect(await next.data()).toEqual(floats(8, 2));
      expect(await more[3]!.data()).toEqual(floats(8, 3));
      reconcile(rt, 256 * KiB);
    });
    expect(rt.stats().deviceArena.reservedBytes).toBe(0);
  });
});

test("also where the tensors and the scope are gone before the answer", async () => {
  await planned({ refuse: (scope) => scope <= 2, delayMs: 20 }, async (rt) => {
    const lost = big(rt, 1, "gone");
    const sum = rt.sum(lost);
    lost.dispose();
    sum.dispose();
    await rt.scope((s) => {
      s.tensor(floats(90_000, 1), { shape: [90_000], dtype: "float32" });
      reconcile(rt);
    });
    reconcile(rt);
    await rt.sync();
    reconcile(rt);
    using found = big(rt, 2, "found");
    expect(new Set(await found.data())).toEqual(new Set([2]));
  });
});

test("what is recorded while a slab is provisional happens in order", async () => {
  await planned({ delayMs: 30 }, async (rt, scopes) => {
    const data = floats(64, 1);
    using x = rt.tensor(data, { shape: [64], dtype: "float32" });
    data.fill(-1);
    using pinned = rt.pinned.tensor({ shape: [64], dtype: "float32" });
    pinned.data.fill(5);
    using first = rt.add(x, 1);
    data.fill(10);
    rt.write(x, data);
    data.fill(-1);
    using second = rt.add(x, 1);
    const readEarly = x.data();
    rt.write(x, pinned);
    using third = rt.add(x, 1);
    rt.fill(x.slice([0, 32]), 7);
    const readLate = x.data();
    x.dispose();
    // Its memory may be given away at once, but is written behind everything above.
    using other = rt.tensor(floats(64, 99), { shape: [64], dtype: "float32" });
    expect(scopes()).toBeGreaterThan(0);
    const values = await Promise.all(
      [first, second, third].map(async (tensor) => [...new Set(await tensor.data())]),
    );
    expect(values).toEqual([[2], [11], [6]]);
    expect(new Set(await readEarly)).toEqual(new Set([10]));
    expect([...(await readLate)].slice(30, 34)).toEqual([7, 7, 5, 5]);
    expect(new Set(await other.data())).toEqual(new Set([99]));
    await pinned.mapped();
    expect(pinned.data[0]).toBe(5);
  });
});

test("reserve() settles only when the memory is certain", async () => {
  await planned({ refuse: (scope) => scope <= 2, delayMs: 20 }, async (rt) => {
    await outOfMemory(rt.reserve(300_000), "reserve(300000)");
    // A slab that is provisional still, with room for both.
    using lost = rt.tensor(floats(8, 1), { shape: [8], dtype: "float32", label: "first" });
    const reserved = rt.reserve(1000);
    await outOfMemory(lost.data(), "first");
    await reserved;
    expect(rt.stats().slabs.count).toBe(1);
    const { createdCount } = rt.stats().gpuBuffers;
    using x = rt.tensor(floats(8, 3), { shape: [8], dtype: "float32" });
    expect(rt.stats().slabs.count).toBe(1);
    expect(await x.data()).toEqual(floats(8, 3));
    expect(rt.stats().gpuBuffers.createdCount - createdCount).toBeLessThanOrEqual(1);
  });
});

test("a device that throws when a slab is made is an error at the call, and nothing has changed", async () => {
  await planned({}, async (rt) => {
    using x = rt.tensor(floats(8, 2), { shape: [8], dtype: "float32" });
    await x.data();
    const before = rt.stats();
    const broken = vi.spyOn(rt.device, "createBuffer").mockImplementation(() => {
      throw new RangeError("made up by a test");
    });
    expect(() => big(rt, 1, "weights")).toThrowError(
      expect.objectContaining({ code: "OUT_OF_MEMORY" }),
    );
    broken.mockRestore();
    expect(rt.stats().slabs).toEqual(before.slabs);
    reconcile(rt);
    using y = big(rt, 3, "weights");
    using sum = rt.sum(y);
    expect(await sum.item()).toBe(120_000);
  });
});
