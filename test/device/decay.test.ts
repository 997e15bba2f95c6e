/** Memory that is only cached goes back by itself: after a while, and beyond a bound at once. */

import { KiB, MiB } from "moorage";
import type { Runtime } from "moorage";
import { expect, test } from "vitest";

import { openRuntime } from "../harness.ts";

const after = (milliseconds: number): Promise<void> =>
  new Promise((resolve) => setTimeout(resolve, milliseconds));

/** Uses a slab and staging, and leaves both behind. */
async function use(rt: Runtime): Promise<void> {
  const staging = rt.pinned.tensor({ shape: [64 * KiB], dtype: "float32" });
  const x = rt.upload(staging);
  await x.data();
  await staging.mapped();
  staging.dispose();
  x.dispose();
  await rt.sync();
}

function cachedBytes(rt: Runtime): number {
  const { pinned, slabs } = rt.stats();
  return pinned.freeBytes + slabs.reservedBytes;
}

test("what nobody uses goes back, and what is used stays", async () => {
  const rt = await openRuntime({ idleMs: 60 });
  await use(rt);
  expect(cachedBytes(rt)).toBeGreaterThan(4 * MiB);
  const created = rt.stats().gpuBuffers.createdCount;
  for (let round = 0; round < 20; round++) {
    await use(rt);
    await after(10);
  }
  expect(rt.stats().gpuBuffers.createdCount).toBe(created);
  // Twice the time at most, and a slow machine.
  for (let round = 0; round < 100 && cachedBytes(rt) > 0; round++) await after(20);
  expect(cachedBytes(rt)).toBe(0);
  await use(rt);
  await rt.dispose();
});

test("what is disposed long after the last work goes back, too", async () => {
  const rt = await openRuntime({ idleMs: 10 });
  const x = rt.zeros([KiB], { dtype: "float32" });
  await rt.sync();
  await after(50);
  expect(rt.stats().slabs.count).toBe(1);
  x.dispose();
  for (let round = 0; round < 100 && cachedBytes(rt) > 0; round++) await after(20);
  expect(cachedBytes(rt)).toBe(0);
  await rt.dispose();
});

test("unless it is to be kept", async () => {
  const rt = await openRuntime({ idleMs: Infinity });
  await use(rt);
  const cached = cachedBytes(rt);
  await after(50);
  expect(cachedBytes(rt)).toBe(cached);
  await rt.dispose();
});

test("beyond the bound it goes at the end of the task", async () => {
  const rt = await openRuntime({ budget: { cachedBytes: MiB } });
  await use(rt);
  await rt.scope((s) => void s.zeros([8], { dtype: "float32" }));
  await after(20);
  expect(cachedBytes(rt)).toBeLessThanOrEqual(MiB);
  await rt.dispose();
});

test("staging that a read leaves behind is within the bound at the end of the task, too", async () => {
  const rt = await openRuntime({ budget: { cachedBytes: MiB } });
  const x = rt.zeros([2 * MiB], { dtype: "float32", label: "x" });
  for (let round = 0; round < 2; round++) {
    await x.data();
    await after(0);
    expect(rt.stats().pinned.freeBytes).toBeLessThanOrEqual(MiB);
  }
  x.dispose();
  await rt.dispose();
});
