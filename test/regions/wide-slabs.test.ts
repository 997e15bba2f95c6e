/** Slabs that are too large to be bound whole: one block has each of them, and most of it. */

import { describe, expect, test } from "vitest";

import type { SlabPool } from "../../src/device/memory/slab-pool.ts";
import { Slab } from "../../src/device/memory/slab.ts";
import { KiB, MiB } from "../../src/index.ts";
import { rejected } from "../support/caught.ts";
import { free, open, settle } from "./slab-parts.ts";
import type { Opened } from "./slab-parts.ts";

/** Of a device that binds 64 KiB. */
function narrow(budgetBytes = 8 * MiB): Opened {
  const opened = open({ budgetBytes, slabBytes: 64 * KiB });
  opened.pool.maxBindingBytes = 64 * KiB;
  return opened;
}

const wideness = (pool: SlabPool): boolean[] => pool.slabs.map(({ isWide }) => isWide);

test("a slab suits a block that leaves a sixth of it at most, or any where nothing else is to be had", () => {
  const managed = { buffer: {} as GPUBuffer, byteLength: 120 * 16, destroy: () => {} };
  const slab = new Slab(managed, 0, 1, 16);
  expect([100, 99, 120].map((units) => slab.suits(units, false))).toEqual([true, false, true]);
  expect(slab.suits(99, true)).toBe(true);
  const node = slab.allocator.allocate(1);
  expect([slab.suits(110, false), slab.suits(110, true)]).toEqual([false, false]);
  slab.allocator.free(node);
  expect(slab.suits(110, false)).toBe(true);
});

describe("a wide slab", () => {
  test("may be avoided, and serves where no other is to be had", () => {
    const { pool } = narrow();
    const places = Array.from({ length: 3 }, () => pool.place(80 * KiB, 0, "x"));
    expect(wideness(pool)).toEqual([true, true, true]);
    free(places[0]!);
    free(places[1]!);
    expect(pool.place(80 * KiB, 0b001, "apart").slab.index).toBe(1);
    expect(pool.placeApart(80 * KiB, 0b001, "none")).toBeNull();
    expect(pool.place(80 * KiB, 0b001, "avoided").slab.index).toBe(0);
    expect([pool.slabs.length, pool.ladder.counts().tightened]).toEqual([3, 0]);
  });

  test("has no room for what can be bound, also where it is empty", () => {
    const { pool } = narrow();
    const wide = pool.place(80 * KiB, 0, "wide");
    free(wide);
    const small = pool.place(64 * KiB, 0, "small");
    expect([small.slab === wide.slab, small.slab.isWide]).toEqual([false, false]);
    // The widest that can be bound is like any other.
    free(small);
    expect(pool.place(64 * KiB, 0, "again").slab).toBe(small.slab);
  });

  test("stays where it is used again between two looks", () => {
    const { pool } = narrow();
    const place = pool.place(80 * KiB, 0, "x");
    free(place);
    expect(pool.decay()).toBe(true);
    free(pool.place(80 * KiB, 0, "y"));
    expect([pool.decay(), pool.slabs.length]).toEqual([true, 1]);
    expect([pool.decay(), pool.slabs.length]).toEqual([false, 0]);
  });

  test("is not searched where the platform refused it", async () => {
    const { pool, device } = narrow();
    device.faults.failAfter("createBuffer", 1);
    const lost = pool.place(80 * KiB, 0, "lost");
    await settle();
    const next = pool.place(80 * KiB, 0, "next");
    expect([next.slab === lost.slab, next.slab.isWide, next.slab.index]).toEqual([false, true, 0]);
  });

  test("of somebody else's has no room", () => {
    const { pool, device } = narrow();
    const size = 80 * KiB;
    const theirs = pool.adopt(device.asDevice.createBuffer({ size, usage: 0x80 }));
    expect(theirs.isWide).toBe(true);
    expect(pool.place(size, 0, "x").slab).not.toBe(theirs);
  });
});

describe("reserving ahead", () => {
  test("makes a buffer that may not be bound whole, for what may not", async () => {
    const { pool } = narrow();
    await pool.reserve(80 * KiB);
    expect([pool.reservedBytes, wideness(pool)]).toEqual([80 * KiB, [true]]);
    await pool.reserve(80 * KiB);
    expect(pool.reservedBytes).toBe(80 * KiB);
    // It is no room for small blocks.
    await pool.reserve(1000);
    expect(wideness(pool)).toEqual([true, false]);
    const place = pool.place(80 * KiB, 0, "x");
    expect([place.slab.index, pool.slabs.length]).toEqual([0, 2]);
    await pool.reserve(80 * KiB);
    expect(wideness(pool)).toEqual([true, false, true]);
  });

  test("of what can be bound to the byte is of an ordinary slab", async () => {
    const { pool } = narrow();
    await pool.reserve(64 * KiB);
    await pool.reserve(64 * KiB);
    await pool.reserve(64 * KiB + 1);
    expect(wideness(pool)).toEqual([false, true]);
  });

  test("past the largest buffer is refused by its size", async () => {
    const { pool } = narrow();
    pool.maxBufferBytes = 100 * KiB;
    const error = await rejected(pool.reserve(100 * KiB + 1));
    expect(error).toMatchObject({ code: "LIMIT_EXCEEDED", label: `reserve(${100 * KiB + 1})` });
    await pool.reserve(100 * KiB);
    expect(pool.reservedBytes).toBe(100 * KiB);
  });
});
