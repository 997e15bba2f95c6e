/** Slabs by themselves: where blocks go, how memory grows, and what goes back. */

import { describe, expect, test } from "vitest";

import { GpuMemory } from "../../src/device/memory/gpu-memory.ts";
import { SlabPool } from "../../src/device/memory/slab-pool.ts";
import type { Place, SlabPoolOptions } from "../../src/device/memory/slab-pool.ts";
import { slabSize, spareBytes } from "../../src/device/memory/slab-size.ts";
import { KiB, MiB, OutOfMemoryError } from "../../src/index.ts";
import { SimulatedDevice } from "../simulated/simulated-device.ts";
import { caught, rejected } from "../support/caught.ts";

interface Opened {
  readonly device: SimulatedDevice;
  readonly memory: GpuMemory;
  readonly pool: SlabPool;
}

function open(options: Partial<SlabPoolOptions> = {}, totalBytes = 1024 * MiB): Opened {
  const device = new SimulatedDevice({
    limits: { maxStorageBufferBindingSize: 64 * MiB, maxBufferSize: 256 * MiB },
  });
  const memory = new GpuMemory(device.asDevice, totalBytes);
  const pool = new SlabPool(memory, { budgetBytes: 8 * MiB, slabBytes: MiB, ...options });
  return { device, memory, pool };
}

const indices = (places: readonly Place[]): number[] => places.map(({ slab }) => slab.index);

function free({ slab, node }: Place): void {
  slab.allocator.free(node);
}

/** As the platform's answers come. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 4; turn++) await new Promise((resolve) => setImmediate(resolve));
}

describe("a place", () => {
  test("is apart from what is avoided, up to three slabs; then it is where there is room", () => {
    const { pool } = open();
    const a = pool.place(1000, 0, "a");
    const b = pool.place(1000, 1 << a.slab.index, "b");
    const c = pool.place(1000, 0b11, "c");
    const d = pool.place(1000, 0b111, "d");
    expect(indices([a, b, c, d])).toEqual([0, 1, 2, 0]);
    expect(pool.placeApart(1000, 0b111, "e")).toBeNull();
    expect(pool.placeApart(1000, 0b101, "e")?.slab.index).toBe(1);
    expect([pool.reservedBytes, pool.peakReservedBytes]).toEqual([3 * MiB, 3 * MiB]);
    // Whole granules.
    expect(pool.freeBytes).toBe(
      3 * MiB - 5 * Math.ceil(1000 / pool.granuleBytes) * pool.granuleBytes,
    );
    expect(pool.slab(1)).toBe(b.slab);
    expect(pool.slabs.map(({ index, serial }) => [index, serial])).toEqual([
      [0, 1],
      [1, 2],
      [2, 3],
    ]);
  });

  test("is not bought with the last of the budget for colour's sake", () => {
    const { pool } = open({ budgetBytes: MiB });
    const a = pool.place(1000, 0, "a");
    expect(pool.placeApart(1000, 1, "b")).toBeNull();
    expect(pool.place(1000, 1, "b").slab).toBe(a.slab);
  });

  test("past the largest binding is refused by its size", () => {
    const { pool } = open();
    for (const attempt of [
      () => pool.place(64 * MiB + 1, 0, "wide"),
      () => pool.placeApart(64 * MiB + 1, 0, "wide"),
    ]) {
      const error = caught(attempt);
      expect(error).toMatchObject({ code: "LIMIT_EXCEEDED", label: "wide" });
      expect(error.message).toContain(`${64 * MiB}`);
    }
    expect(pool.reservedBytes).toBe(0);
  });

  test("of a slab that the platform refused is nobody's, and its index serves again", async () => {
    const { pool, device } = open();
    device.faults.failAfter("createBuffer", 1);
    const lost = pool.place(1000, 0, "lost");
    expect([lost.slab.isReady, lost.slab.failure]).toEqual([false, null]);
    await settle();
    expect(lost.slab.failure).toBeInstanceOf(OutOfMemoryError);
    expect([pool.reservedBytes, pool.slabs.length, lost.slab.isReady]).toEqual([0, 0, false]);
    const next = pool.place(1000, 0, "next");
    expect([next.slab.index, next.slab.serial]).toEqual([0, 2]);
    await settle();
    expect([next.slab.isReady, next.slab.failure]).toEqual([true, null]);
  });

  test("in given slabs is in the first that has room", () => {
    const { pool } = open();
    const [a, b] = [pool.place(MiB, 0, "a"), pool.place(600 * KiB, 0, "b")];
    expect(pool.placeIn([a.slab, b.slab], 400 * KiB)?.slab).toBe(b.slab);
    expect(pool.placeIn([a.slab, b.slab], 400 * KiB)).toBeNull();
  });
});

describe("growth", () => {
  const plenty = {
    needed: 256,
    preferredBytes: undefined,
    slabBytes: 4 * MiB,
    usedBytes: 0,
    reservedBytes: 0,
    growableBytes: 1024 * MiB,
    budgetBytes: 1024 * MiB,
    maxSlabBytes: 128 * MiB,
    granuleBytes: 256,
  };

  test.each([
    ["at first an ordinary slab", {}, 4 * MiB],
    ["what is needed, where that is more", { needed: 9 * MiB }, 9 * MiB],
    [
      "an eighth of what is reserved, where it is used",
      { reservedBytes: 128 * MiB, usedBytes: 128 * MiB },
      16 * MiB,
    ],
    [
      "in whole blocks",
      { needed: 5 * MiB, reservedBytes: 128 * MiB, usedBytes: 128 * MiB },
      15 * MiB,
    ],
    ["no more where it is loose", { reservedBytes: 128 * MiB, usedBytes: 100 * MiB }, 4 * MiB],
    [
      "not beyond a binding",
      { reservedBytes: 900 * MiB, usedBytes: 900 * MiB, maxSlabBytes: 64 * MiB },
      64 * MiB,
    ],
    ["what is asked for", { preferredBytes: 20 * MiB }, 20 * MiB],
    ["near the end half a mebibyte", { growableBytes: 8 * MiB }, MiB / 2],
    ["near the end what is needed", { growableBytes: 8 * MiB, needed: 3 * MiB }, 3 * MiB],
    ["before the end an ordinary slab", { growableBytes: 12 * MiB }, 4 * MiB],
    [
      "of a small budget an ordinary slab to the end",
      { growableBytes: 4 * MiB, budgetBytes: 60 * MiB },
      4 * MiB,
    ],
    ["of a small budget the rest", { growableBytes: 1000, budgetBytes: 60 * MiB }, 768],
    ["never less than is needed", { growableBytes: 1000, needed: 768, budgetBytes: 60 * MiB }, 768],
  ])("%s", (_, changes, expected) => {
    expect(slabSize({ ...plenty, ...changes })).toBe(expected);
  });

  test("the spare part of a budget is two slabs, of sixteen and more", () => {
    expect([spareBytes(64 * MiB, 4 * MiB), spareBytes(64 * MiB - 1, 4 * MiB)]).toEqual([
      8 * MiB,
      0,
    ]);
  });

  test("ends at the budget, with an error that has every figure", () => {
    const { pool } = open({ budgetBytes: 2 * MiB });
    const kept = [pool.place(MiB, 0, "a"), pool.place(600 * KiB, 0, "b")];
    pool.describe = () => [{ label: "b", region: "device heap", count: 1, byteLength: 600 * KiB }];
    const error = caught(() => pool.place(500 * KiB, 0, "c"));
    expect(error).toMatchObject({
      code: "OUT_OF_MEMORY",
      label: "c",
      requestedBytes: 500 * KiB,
      availableBytes: 424 * KiB,
      largestFreeBytes: 424 * KiB,
      breakdown: pool.describe(),
    });
    expect(pool.ladder.counts()).toMatchObject({ climbs: 1, refused: 1, trimmed: 1, told: 0 });
    expect([pool.availableBytes, pool.growableBytes]).toEqual([424 * KiB, 0]);
    for (const place of kept) free(place);
    expect(pool.place(2 * MiB, 0, "d").slab.byteLength).toBe(2 * MiB);
  });

  test("ends where all buffers together would pass theirs", () => {
    const { pool } = open({}, 3 * MiB);
    expect(pool.growableBytes).toBe(3 * MiB);
    for (let count = 0; count < 3; count++) pool.place(MiB, 0, "a");
    expect([pool.growableBytes, pool.availableBytes]).toEqual([0, 0]);
    expect(caught(() => pool.place(1000, 0, "b")).code).toBe("OUT_OF_MEMORY");
  });

  test("past a soft budget listeners are told, and what they free serves", () => {
    const { pool } = open({ softBytes: 2 * MiB });
    const kept = [pool.place(MiB, 0, "a"), pool.place(MiB, 0, "b")];
    const heard: unknown[] = [];
    pool.ladder.listen((event) => {
      heard.push(event);
      const last = kept.pop();
      if (last !== undefined) free(last);
    });
    const c = pool.place(MiB, 0, "c");
    expect(heard).toEqual([
      {
        requestedBytes: MiB,
        availableBytes: 6 * MiB,
        reservedBytes: 2 * MiB,
        budgetBytes: 8 * MiB,
        level: "soft",
      },
    ]);
    expect([c.slab.index, pool.reservedBytes]).toEqual([1, 2 * MiB]);
  });

  test("what is loose is moved together before it grows, and not again at once", () => {
    const { pool } = open({ budgetBytes: 64 * MiB });
    let moves = 0;
    pool.ladder.steps.compacted = () => moves++;
    const half = (): Place => pool.place(MiB / 2 + 256, 0, "half");
    const places = Array.from({ length: 4 }, half);
    expect(pool.reservedBytes).toBe(4 * MiB);
    expect(moves).toBeGreaterThan(0);
    const before = moves;
    places.push(half());
    expect(moves - before).toBeLessThanOrEqual(1);
    // Mostly used: nothing is moved.
    const dense = open({ budgetBytes: 64 * MiB }).pool;
    let denseMoves = 0;
    dense.ladder.steps.compacted = () => denseMoves++;
    for (let count = 0; count < 8; count++) dense.place(MiB, 0, "whole");
    expect([denseMoves, dense.ladder.counts().tightened]).toEqual([0, 0]);
  });
});

describe("what goes back", () => {
  test("empty slabs at a trim, and none while work waits", () => {
    const { pool, device } = open();
    const gone: number[] = [];
    pool.onDestroy = ({ index }) => gone.push(index);
    const [a, b] = [pool.place(MiB, 0, "a"), pool.place(MiB, 0, "b")];
    free(a);
    expect([pool.emptyBytes, pool.reservedBytes, a.slab.isEmpty, b.slab.isEmpty]).toEqual([
      MiB,
      2 * MiB,
      true,
      false,
    ]);
    pool.settle = () => false;
    expect([pool.trim(), pool.reservedBytes]).toEqual([0, 2 * MiB]);
    pool.settle = () => true;
    expect([pool.trim(), pool.reservedBytes, pool.emptyBytes]).toEqual([MiB, MiB, 0]);
    expect([gone, device.buffers.size]).toEqual([[0], 1]);
    expect([pool.trim(), pool.peakReservedBytes]).toEqual([0, 2 * MiB]);
    free(b);
    pool.close();
    expect([pool.reservedBytes, device.buffers.size, gone]).toEqual([0, 0, [0, 1]]);
  });

  test("what was empty at two looks, and not used between them", () => {
    const { pool } = open();
    const [a, b] = [pool.place(MiB, 0, "a"), pool.place(MiB, 0, "b")];
    expect(pool.decay()).toBe(false);
    free(a);
    free(b);
    pool.settle = () => false;
    expect(pool.decay()).toBe(true);
    pool.settle = () => true;
    expect([pool.decay(), pool.reservedBytes]).toEqual([true, 2 * MiB]);
    // Used meanwhile: it starts anew.
    free(pool.place(MiB, 0, "again"));
    expect([pool.decay(), pool.reservedBytes]).toEqual([true, MiB]);
    expect([pool.decay(), pool.reservedBytes]).toEqual([false, 0]);
  });

  test("a lost device takes all, and says why", () => {
    const { pool } = open();
    const a = pool.place(MiB, 0, "a");
    const failure = new OutOfMemoryError("gone", { requestedBytes: 1, availableBytes: 0 });
    pool.close(failure);
    expect([a.slab.failure, pool.slabs.length, pool.reservedBytes]).toEqual([failure, 0, 0]);
  });
});

describe("reserving ahead", () => {
  test("makes one range, and nothing where there is one", async () => {
    const { pool, device } = open();
    await pool.reserve(3 * MiB);
    expect([pool.reservedBytes, device.buffers.size]).toEqual([3 * MiB, 1]);
    await pool.reserve(2 * MiB);
    expect(pool.reservedBytes).toBe(3 * MiB);
    expect(pool.place(3 * MiB, 0, "a").slab.index).toBe(0);
    await pool.reserve(1000);
    expect(pool.reservedBytes).toBeGreaterThan(3 * MiB);
  });

  test("says when the platform, the budget or a binding has not so much", async () => {
    const { pool, device } = open();
    device.faults.failAfter("createBuffer", 1);
    expect((await rejected(pool.reserve(MiB))).code).toBe("OUT_OF_MEMORY");
    expect(pool.reservedBytes).toBe(0);
    expect(await rejected(pool.reserve(9 * MiB))).toMatchObject({
      code: "OUT_OF_MEMORY",
      requestedBytes: 9 * MiB,
    });
    expect((await rejected(pool.reserve(65 * MiB))).code).toBe("LIMIT_EXCEEDED");
  });
});

test("somebody else's buffer has an index and no room, and costs no budget", () => {
  const { pool, device } = open();
  const buffer = device.asDevice.createBuffer({ size: 4096, usage: 0x80, label: "theirs" });
  const own = pool.place(1000, 0, "own");
  const dropped: string[] = [];
  pool.onDrop = () => dropped.push("dropped");
  const slab = pool.adopt(buffer);
  expect([slab.index, slab.isForeign, slab.byteLength, slab.isEmpty]).toEqual([
    1,
    true,
    4096,
    false,
  ]);
  expect([pool.reservedBytes, pool.slabs.length, pool.freeBytes < MiB]).toEqual([MiB, 1, true]);
  expect(pool.place(512, 1, "other").slab.index).toBe(2);
  pool.drop(slab);
  pool.drop(slab);
  expect([dropped.length, device.buffers.has(buffer as never)]).toEqual([1, true]);
  expect(pool.adopt(buffer).index).toBe(1);
  expect(own.slab.index).toBe(0);
});

test("a slab knows which batch touched what, by the sixty-fourth", () => {
  const { pool } = open();
  const { slab } = pool.place(1000, 0, "a");
  const piece = MiB / 64;
  slab.use(piece, piece, 5);
  expect(slab.isUsedBy(piece, 1, 5)).toBe(true);
  expect(slab.isUsedBy(2 * piece - 1, 1, 5)).toBe(true);
  expect(slab.isUsedBy(0, piece, 5)).toBe(false);
  expect(slab.isUsedBy(2 * piece, piece, 5)).toBe(false);
  expect(slab.isUsedBy(0, MiB, 5)).toBe(true);
  expect(slab.isUsedBy(piece, piece, 6)).toBe(false);
  slab.use(piece, 1, 6);
  expect(slab.isUsedBy(piece, piece, 5)).toBe(false);
  expect([slab.isIdle, slab.leasedBytes]).toEqual([false, 0]);
});
