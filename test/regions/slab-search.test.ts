/** How hard a place is searched for, and when memory is moved together first. */

import { describe, expect, test } from "vitest";

import type { Place, SlabPool } from "../../src/device/memory/slab-pool.ts";
import { KiB, MiB } from "../../src/index.ts";
import { codeOf } from "../support/caught.ts";
import { free, open } from "./slab-parts.ts";

/**
 * Fills a slab with live blocks but for holes of the given numbers of granules, of which the first is
 * tried first.
 */
function holed(pool: SlabPool, granules: readonly number[]): Place[] {
  const { granuleBytes } = pool;
  const holes = granules.map((count) => {
    const hole = pool.place(count * granuleBytes, 0, "hole");
    pool.place(granuleBytes, 0, "wall");
    return hole;
  });
  pool.place(pool.freeBytes, 0, "rest");
  for (const hole of holes.toReversed()) free(hole);
  return holes;
}

/** Four that are too small lie before one that is not: an ordinary search finds none. */
const behindFour = [64, 64, 64, 64, 71];

/** Counts how often recorded work was submitted. */
function countSettles(pool: SlabPool): { count: number } {
  const settles = { count: 0 };
  pool.settle = () => {
    settles.count++;
    return true;
  };
  return settles;
}

describe("a thorough search", () => {
  const wanted = (pool: SlabPool): number => 71 * pool.granuleBytes;

  test("is not made where memory is plenty", () => {
    const { pool } = open();
    holed(pool, behindFour);
    expect(pool.place(wanted(pool), 0, "x").slab.index).toBe(1);
  });

  test("is made before a soft budget is passed", () => {
    const { pool } = open({ softBytes: MiB });
    holed(pool, behindFour);
    expect(pool.place(wanted(pool), 0, "x").slab.index).toBe(0);
    expect([pool.reservedBytes, pool.ladder.counts().trimmed]).toEqual([MiB, 1]);
  });

  test("is made before anything is refused", () => {
    const { pool } = open({ budgetBytes: MiB });
    const { slab } = holed(pool, behindFour)[0]!;
    expect(pool.place(wanted(pool), 0, "x").slab).toBe(slab);
    expect(pool.ladder.counts()).toMatchObject({ climbs: 1, submitted: 1, trimmed: 0, refused: 0 });
  });

  test("is made in memory that is loose", () => {
    const { pool } = open({ budgetBytes: 64 * MiB });
    holed(pool, [...Array.from({ length: 40 }, () => 64), 71]);
    for (let index = 1; index < 3; index++) pool.place(MiB, 0, "full");
    expect(pool.place(wanted(pool), 0, "x").slab.index).toBe(0);
    expect([pool.reservedBytes, pool.ladder.counts().tightened]).toEqual([3 * MiB, 1]);
  });

  test("is made in given slabs", () => {
    const { pool } = open();
    const holes = holed(pool, behindFour);
    expect(pool.placeIn([holes[0]!.slab], wanted(pool))?.node).toBe(holes[4]!.node);
  });
});

test("what is avoided serves before anything is moved or submitted", () => {
  const { pool } = open();
  for (let index = 0; index < 3; index++) pool.place(1000, (1 << index) - 1, "x");
  const settles = countSettles(pool);
  expect(pool.place(1000, 0b111, "y").slab.index).toBe(0);
  expect([settles.count, pool.ladder.counts().tightened]).toEqual([0, 0]);
});

test("slabs past the 31st cannot be avoided", () => {
  const { pool } = open({ budgetBytes: 64 * MiB, slabBytes: 64 * KiB });
  const places: Place[] = [];
  while (places.at(-1)?.slab.index !== 32) places.push(pool.place(64 * KiB, 0, "x"));
  free(places.find(({ slab }) => slab.index === 31)!);
  expect(pool.placeApart(64 * KiB, -1, "y")?.slab.index).toBe(31);
  // The bit of the first is not that of the 33rd.
  free(places.at(-1)!);
  expect(pool.placeApart(64 * KiB, 1, "z")?.slab.index).toBe(32);
});

describe("loose memory", () => {
  test("is more than a fifth beyond what is used, and not just a fifth", async () => {
    const { pool } = open({ budgetBytes: 64 * MiB });
    await pool.reserve(3 * MiB);
    const halves = [MiB, MiB / 2, MiB, MiB / 2].map((bytes) => pool.place(bytes, 0, "x"));
    for (let index = 1; index < 3; index++) pool.place(MiB, 0, "full");
    for (const at of [1, 3]) free(halves[at]!);
    const settles = countSettles(pool);
    // Six mebibytes will be reserved for five.
    expect(pool.place(MiB, 0, "y").slab.index).toBe(3);
    expect([pool.ladder.counts().tightened, settles.count]).toEqual([0, 0]);
  });

  test("is moved together once, until as much was placed as was in use then", () => {
    const { pool } = open({ budgetBytes: 64 * MiB });
    const quarters = Array.from({ length: 12 }, () => pool.place(MiB / 4, 0, "quarter"));
    for (let at = 0; at < 12; at += 2) free(quarters[at]!);
    const tightened = (): number => pool.ladder.counts().tightened;
    // Three and a half mebibytes have been placed, and one and a half are in use.
    pool.place(MiB / 2, 0, "a");
    expect(tightened()).toBe(1);
    // What no buffer is large enough for was not placed.
    expect(codeOf(() => pool.place(257 * MiB, 0, "too large"))).toBe("LIMIT_EXCEEDED");
    pool.place((MiB * 3) / 4, 0, "b");
    expect(tightened()).toBe(1);
    // Now it is five, to the byte.
    pool.place((MiB * 3) / 4, 0, "c");
    expect([tightened(), pool.slabs.length]).toEqual([2, 6]);
  });

  test("is left alone where it was an empty slab alone that made it loose", () => {
    const { pool } = open({ budgetBytes: 64 * MiB });
    const places = Array.from({ length: 4 }, () => pool.place(MiB, 0, "full"));
    free(places[3]!);
    pool.place((MiB * 3) / 2, 0, "x");
    expect([pool.ladder.counts().tightened, pool.emptyBytes]).toEqual([0, 0]);
    expect(pool.reservedBytes).toBe((MiB * 9) / 2);
  });
});

describe("near the end of the budget", () => {
  test("begins behind what two slabs are left of", () => {
    const { pool } = open({ budgetBytes: 16 * MiB });
    pool.place(11 * MiB, 0, "x");
    free(pool.place(MiB, 0, "empty"));
    // Two mebibytes of four: two are left.
    pool.place(2 * MiB, 0, "y");
    expect([pool.emptyBytes, pool.reservedBytes]).toEqual([MiB, 14 * MiB]);
  });

  test("nothing is submitted where no slab is empty", () => {
    const { pool } = open({ budgetBytes: 16 * MiB });
    pool.place(15 * MiB, 0, "x");
    const settles = countSettles(pool);
    pool.place(MiB, 0, "y");
    expect(pool.decay()).toBe(false);
    expect(settles.count).toBe(0);
  });
});
