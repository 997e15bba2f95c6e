/** How the memory of slabs grows, up to its budget, and what is done before it does. */

import { describe, expect, test } from "vitest";

import { GpuMemory } from "../../src/device/memory/gpu-memory.ts";
import { slabLimits } from "../../src/device/memory/slab-limits.ts";
import { SlabPool } from "../../src/device/memory/slab-pool.ts";
import type { Place } from "../../src/device/memory/slab-pool.ts";
import { slabSize, spareBytes } from "../../src/device/memory/slab-size.ts";
import { KiB, MiB } from "../../src/index.ts";
import { SimulatedDevice } from "../simulated/simulated-device.ts";
import { caught } from "../support/caught.ts";
import { free, open } from "./slab-parts.ts";

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
    [
      "no more than keeps it from being loose",
      { needed: MiB, reservedBytes: 100 * MiB, usedBytes: 90 * MiB },
      9 * MiB,
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

  test("is no more where what is reserved is free but in pieces", async () => {
    const { pool } = open({ budgetBytes: 64 * MiB, slabBytes: 64 * KiB });
    await pool.reserve(8 * MiB);
    const places = Array.from({ length: 64 }, () => pool.place(128 * KiB, 0, "piece"));
    for (let at = 0; at < 64; at += 4) free(places[at]!);
    expect(pool.place(256 * KiB, 0, "x").slab.byteLength).toBe(256 * KiB);
  });

  test("begins with 4 MiB, and says of nobody that he has anything unless somebody knows", () => {
    const device = new SimulatedDevice();
    const pool = new SlabPool(new GpuMemory(device.asDevice, 64 * MiB), { budgetBytes: 4 * MiB });
    expect(pool.place(1000, 0, "a").slab.byteLength).toBe(4 * MiB);
    expect(caught(() => pool.place(4 * MiB, 0, "b"))).toMatchObject({ breakdown: [] });
  });

  test("makes no buffer whose elements could not be counted in 32 bits", () => {
    const limits = { maxStorageBufferBindingSize: 2 ** 33, maxBufferSize: 2 ** 33 };
    expect(slabLimits(new SimulatedDevice({ limits }).asDevice)).toEqual({
      granuleBytes: 256,
      maxBufferBytes: 2 ** 32 - 256,
      maxBindingBytes: 2 ** 32 - 256,
    });
    const odd = { maxStorageBufferBindingSize: 1000, maxBufferSize: 2000 };
    expect(slabLimits(new SimulatedDevice({ limits: odd }).asDevice)).toMatchObject({
      maxBufferBytes: 1792,
      maxBindingBytes: 768,
    });
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
        region: "device",
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

describe("to the byte", () => {
  test("the largest binding, and the last of the budget", () => {
    const { pool } = open({ budgetBytes: 64 * MiB });
    expect(pool.place(64 * MiB, 0, "all").slab.byteLength).toBe(64 * MiB);
    expect(pool.ladder.counts().climbs).toBe(0);
    const two = open({ budgetBytes: 2 * MiB }).pool;
    two.place(MiB, 0, "a");
    expect(two.placeApart(MiB, 1, "b")?.slab.index).toBe(1);
    expect([two.growableBytes, two.ladder.counts().climbs]).toEqual([0, 0]);
  });

  test("a soft budget that is met is not passed, and a listener who frees nothing changes nothing", () => {
    const { pool } = open({ softBytes: 2 * MiB });
    let told = 0;
    pool.ladder.listen(() => told++);
    pool.place(MiB, 0, "a");
    pool.place(MiB, 0, "b");
    expect(told).toBe(0);
    expect(pool.place(MiB, 0, "c").slab.index).toBe(2);
    expect([told, pool.reservedBytes]).toEqual([1, 3 * MiB]);
  });

  test("near its end an empty slab makes room for one of another size, and before that it stays", () => {
    const { pool, memory } = open({ budgetBytes: 16 * MiB });
    let reclaimed = 0;
    memory.reclaim = () => reclaimed++;
    const places = Array.from({ length: 13 }, () => pool.place(MiB, 0, "a"));
    free(places.pop()!);
    expect(pool.reservedBytes).toBe(13 * MiB);
    // Three mebibytes can still be had: two of them are the end.
    pool.place(MiB + 256, 0, "b");
    expect(pool.reservedBytes).toBe(13 * MiB + 256);
    const early = open({ budgetBytes: 32 * MiB }).pool;
    const first = Array.from({ length: 13 }, () => early.place(MiB, 0, "a"));
    free(first.pop()!);
    early.place(MiB + 256, 0, "b");
    expect([early.emptyBytes, early.reservedBytes > 14 * MiB]).toEqual([MiB, true]);
    expect(reclaimed).toBe(0);
  });

  test("what listeners and the trim after them free serves a request that was in the way of both", () => {
    const { pool } = open({ budgetBytes: 2 * MiB });
    const kept = [pool.place(MiB, 0, "a"), pool.place(MiB, 0, "b")];
    pool.ladder.steps.trimmed = () => pool.trim();
    pool.ladder.listen(() => {
      for (const place of kept.splice(0)) free(place);
    });
    const wide = pool.place(2 * MiB, 0, "wide");
    expect([wide.slab.byteLength, pool.reservedBytes]).toEqual([2 * MiB, 2 * MiB]);
    expect(pool.ladder.counts()).toMatchObject({
      climbs: 1,
      told: 1,
      trimmed: 1,
      compacted: 0,
      refused: 0,
    });
  });

  test("loose memory is trimmed, then moved together, and then left alone for a while", () => {
    const { pool } = open({ budgetBytes: 64 * MiB });
    const needs: number[] = [];
    pool.ladder.steps.compacted = (needed) => needs.push(needed);
    const places = Array.from({ length: 3 }, () => pool.place(600 * KiB, 0, "a"));
    const before = needs.length;
    free(places[1]!);
    free(places[2]!);
    const wide = pool.place(1200 * KiB, 0, "wide");
    expect(needs.slice(before)).toEqual([1200 * KiB]);
    expect(pool.slabs.map(({ index }) => index)).toEqual([0, wide.slab.index]);
    pool.place(1200 * KiB, 0, "again");
    expect(needs.slice(before)).toEqual([1200 * KiB]);
  });
});
