/** What a review found, in the regions of the device; each has happened once. */

import { expect, test } from "vitest";

import { KiB, MiB } from "../../src/index.ts";
import type { Runtime } from "../../src/index.ts";
import { openSimulated } from "../simulated/open-simulated.ts";
import { codeOf, codeOfRejection, rejected } from "../support/caught.ts";
import { figures, openRegions } from "./device-regions.ts";
import { partsOf } from "./device-subject.ts";
import { free, open, settle } from "./slab-parts.ts";

const quiet = { onError: () => {}, onLeak: () => {} };

/** A runtime whose first slab the platform will refuse. */
async function openRefused(): Promise<Runtime> {
  const { runtime, device } = await openSimulated({
    budget: { deviceBytes: 8 * MiB },
    slabBytes: MiB,
    ...quiet,
  });
  device.faults.failAfter("createBuffer", 1);
  return runtime;
}

test("a tensor whose slab was refused may be kept, and takes nobody else's memory", async () => {
  const runtime = await openRefused();
  await runtime.scope(async (s) => {
    const x = s.empty([256 * KiB], { dtype: "float32", label: "x" });
    await rejected(x.data());
    await settle();
    // The same index, another slab.
    const y = runtime.empty([1000], { dtype: "float32", label: "y" });
    s.keep(x).dispose();
    y.dispose();
  });
  const { context } = partsOf(runtime);
  expect(context.pool.slabs[0]!.allocator.blockCount).toBe(0);
  expect(runtime.stats().deviceHeap.reservedBytes).toBe(context.pool.reservedBytes);
  await runtime.dispose();
});

test("a scope ends that kept a tensor whose slab was refused", async () => {
  const runtime = await openRefused();
  await runtime.scope(async (s) => {
    const x = s.empty([256 * KiB], { dtype: "float32", label: "x" });
    await rejected(x.data());
    await settle();
    s.keep(x).dispose();
  });
  await runtime.dispose();
});

test("a small tensor that is lent stays in its place when it is kept", async () => {
  const { runtime } = await openSimulated(quiet);
  await runtime.reserve(MiB);
  await runtime.scope(async (s) => {
    const x = s.tensor(new Uint32Array(64).fill(1), { shape: [64], dtype: "uint32" });
    const lease = await runtime.lend(x);
    const kept = s.keep(x);
    const z = s.tensor(new Uint32Array(64).fill(9), { shape: [64], dtype: "uint32" });
    const other = await runtime.lend(z);
    expect(other.buffer === lease.buffer && other.offset === lease.offset).toBe(false);
    for (const one of [lease, other]) one.dispose();
    kept.dispose();
  });
  await runtime.dispose();
});

test("what reserve() promised is placed: the rest of a wide slab in use is no room", async () => {
  const { pool } = open({ budgetBytes: 200 * KiB });
  pool.maxBindingBytes = 64 * KiB;
  free(pool.place(200 * KiB, 0, "large"));
  pool.settle = () => false;
  pool.place(65 * KiB, 0, "x");
  expect(await codeOfRejection(pool.reserve(100 * KiB))).toBe("OUT_OF_MEMORY");
});

test("what reserve() promised needs no other buffer: a wide slab that is too large is no room at first", async () => {
  const { pool } = open();
  pool.maxBindingBytes = 64 * KiB;
  free(pool.place(150 * KiB, 0, "large"));
  await pool.reserve(65 * KiB);
  const { reservedBytes } = pool;
  pool.place(65 * KiB, 0, "x");
  expect(pool.reservedBytes).toBe(reservedBytes);
});

test("a listener may dispose what is being kept", () => {
  const { pool, arena, heap } = openRegions({ budgetBytes: MiB });
  const x = arena.alloc({ byteLength: 1000, label: "x" });
  const filler = heap.alloc({ byteLength: pool.freeBytes });
  pool.ladder.listen(() => {
    arena.free(x);
    heap.free(filler);
  });
  expect(codeOf(() => arena.promote(x, "kept"))).toBe("USE_AFTER_DISPOSE");
  expect(figures(arena)[0]).toBe(0);
});

test("a listener may dispose the tensor that a scope is keeping", async () => {
  const { runtime } = await openSimulated({
    budget: { deviceBytes: MiB },
    slabBytes: MiB,
    ...quiet,
  });
  await runtime.reserve(MiB);
  await runtime.scope(async (s) => {
    const x = s.zeros([64], { dtype: "uint32", label: "x" });
    const filler = runtime.empty([(MiB - 256 * KiB) / 4], { dtype: "uint32", label: "filler" });
    runtime.onPressure(() => {
      x.dispose();
      filler.dispose();
    });
    expect(codeOf(() => s.keep(x))).toBe("USE_AFTER_DISPOSE");
    expect(runtime.stats().deviceArena.liveBytes).toBe(0);
  });
  await runtime.dispose();
});
