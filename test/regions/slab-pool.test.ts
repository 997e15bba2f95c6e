/** Slabs by themselves: where blocks go, and what goes back. */

import { describe, expect, test } from "vitest";

import { KiB, MiB, OutOfMemoryError } from "../../src/index.ts";
import { caught, rejected } from "../support/caught.ts";
import { free, indices, open, settle } from "./slab-parts.ts";

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

  test("past the largest buffer is refused by its size", () => {
    const { pool } = open();
    for (const attempt of [
      () => pool.place(256 * MiB + 1, 0, "wide"),
      () => pool.placeApart(256 * MiB + 1, 0, "wide"),
    ]) {
      const error = caught(attempt);
      expect(error).toMatchObject({ code: "LIMIT_EXCEEDED", label: "wide" });
      expect(error.message).toContain(`${256 * MiB}`);
    }
    expect(pool.reservedBytes).toBe(0);
  });

  test("past the largest binding has a buffer of its own, of its size", () => {
    const { pool } = open();
    pool.maxBindingBytes = 64 * KiB;
    const small = pool.place(1000, 0, "small");
    const wide = pool.place(64 * KiB + 1, 0, "wide");
    expect([small.slab.isWide, wide.slab.isWide]).toEqual([false, true]);
    expect(wide.slab.byteLength).toBe(64 * KiB + pool.granuleBytes);
    expect(pool.place(64 * KiB, 0, "widest that can be bound").slab.isWide).toBe(false);
    // What it has left is nobody's, and a second one has a second buffer.
    expect(pool.place(1000, 1, "other").slab).not.toBe(wide.slab);
    const twin = pool.place(64 * KiB + 1, 0, "twin");
    expect(twin.slab).not.toBe(wide.slab);
    free(wide);
    free(twin);
    // An empty one serves again, unless too much of it would lie idle.
    expect(pool.place(65 * KiB, 0, "larger").slab.byteLength).toBe(65 * KiB);
    expect(pool.place(64 * KiB + 1, 0, "again").slab).toBe(wide.slab);
    const large = pool.place(100 * KiB, 0, "large");
    free(large);
    expect(pool.place(80 * KiB, 0, "too loose").slab).not.toBe(large.slab);
    expect(pool.place(90 * KiB, 0, "fits").slab).toBe(large.slab);
  });

  test("past the largest binding takes what there is before it is refused", () => {
    const { pool } = open({ budgetBytes: 160 * KiB });
    pool.maxBindingBytes = 64 * KiB;
    const large = pool.place(150 * KiB, 0, "large");
    free(large);
    pool.settle = () => false;
    expect(pool.place(65 * KiB, 0, "loose").slab).toBe(large.slab);
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
    await pool.reserve(3 * MiB);
    expect(pool.reservedBytes).toBe(3 * MiB);
    expect(pool.place(3 * MiB, 0, "a").slab.index).toBe(0);
    await pool.reserve(1000);
    expect(pool.reservedBytes).toBeGreaterThan(3 * MiB);
  });

  test("says when the platform, the budget or a binding has not so much", async () => {
    const { pool, device, memory } = open();
    let reclaimed = 0;
    memory.reclaim = () => reclaimed++;
    device.faults.failAfter("createBuffer", 1);
    expect((await rejected(pool.reserve(MiB))).code).toBe("OUT_OF_MEMORY");
    expect(pool.reservedBytes).toBe(0);
    expect(await rejected(pool.reserve(9 * MiB))).toMatchObject({
      code: "OUT_OF_MEMORY",
      requestedBytes: 9 * MiB,
    });
    expect(reclaimed).toBe(1);
    expect((await rejected(pool.reserve(257 * MiB))).code).toBe("LIMIT_EXCEEDED");
    await pool.reserve(8 * MiB);
    expect([reclaimed, pool.reservedBytes]).toEqual([1, 8 * MiB]);
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
  const again = pool.adopt(buffer);
  expect([slab.serial, again.index, again.serial]).toEqual([2, 1, 4]);
  expect(own.slab.index).toBe(0);
});

test("a slab knows which batch touched what, by the sixty-fourth", () => {
  const { pool } = open();
  const { slab } = pool.place(1000, 0, "a");
  const piece = MiB / 64;
  slab.use(piece, piece, 5);
  expect(slab.isUsedSince(piece, 1, 5)).toBe(true);
  expect(slab.isUsedSince(2 * piece - 1, 1, 5)).toBe(true);
  expect(slab.isUsedSince(0, piece, 5)).toBe(false);
  expect(slab.isUsedSince(2 * piece, piece, 5)).toBe(false);
  expect(slab.isUsedSince(0, MiB, 5)).toBe(true);
  expect(slab.isUsedSince(piece, piece, 6)).toBe(false);
  slab.use(piece, 1, 7);
  // What is hoisted before the work of a batch does not hide that work.
  slab.use(piece, piece, 6);
  expect(slab.isUsedSince(piece, piece, 7)).toBe(true);
  expect(slab.isUsedSince(piece, piece, 8)).toBe(false);
  slab.use(4 * piece, piece, 6);
  expect(slab.isUsedSince(4 * piece, piece, 7)).toBe(false);
  expect(slab.isUsedSince(4 * piece, piece, 5)).toBe(true);
  expect([slab.isIdle, slab.leasedBytes]).toEqual([false, 0]);
});

test("a range that is reserved in a slab that the platform refuses is looked for again", async () => {
  const { pool, device } = open();
  device.faults.failAfter("createBuffer", 1);
  const lost = pool.place(1000, 0, "lost");
  await pool.reserve(1000);
  expect(lost.slab.failure).toBeInstanceOf(OutOfMemoryError);
  expect(pool.slabs.map(({ failure, isReady }) => [failure, isReady])).toEqual([[null, true]]);
});

test("a slab goes once, also where the platform refuses it afterwards", async () => {
  const { pool, device } = open();
  const gone: number[] = [];
  pool.onDestroy = ({ serial }) => gone.push(serial);
  device.faults.failAfter("createBuffer", 1);
  pool.place(1000, 0, "a");
  pool.close();
  const next = pool.place(1000, 0, "b");
  await settle();
  expect([gone, pool.reservedBytes, pool.slab(0)]).toEqual([[1], MiB, next.slab]);
});

test("somebody else's buffer costs no budget when all slabs go", () => {
  const { pool, device } = open();
  pool.place(1000, 0, "own");
  const buffer = device.asDevice.createBuffer({ size: 4096, usage: 0x80 });
  pool.adopt(buffer);
  pool.close();
  expect([pool.reservedBytes, device.buffers.has(buffer as never)]).toEqual([0, true]);
});
