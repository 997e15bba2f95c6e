/** Arrays of an arena have a short way once there is a page: it skips nothing that the long one does. */

import { expect, test } from "vitest";

import { HotArena, KiB, PagePool } from "../../src/index.ts";
import { codeOf } from "../support/caught.ts";

/** An arena with a page, so that the next array takes the short way. */
function begun(pageBytes = 4 * KiB): { readonly arena: HotArena; readonly pool: PagePool } {
  const pool = new PagePool({ pageBytes });
  const arena = new HotArena(pool, "begun");
  arena.array("uint8", 3);
  return { arena, pool };
}

test.each([0, -1, 1.5, Number.NaN, 2 ** 31, 2 ** 53])(
  "a count of %d is refused as before",
  (count) => {
    const { arena } = begun();
    const before = arena.stats();
    expect(codeOf(() => arena.array("float32", count))).toMatch(
      /^(INVALID_LAYOUT|SIZE_OVERFLOW|OUT_OF_MEMORY)$/,
    );
    expect({ ...arena.stats(), failedCount: before.failedCount }).toEqual(before);
    expect(codeOf(() => arena.array("float33" as "float32", 1))).toBe("UNSUPPORTED_DTYPE");
    arena.end();
  },
);

test("padding, live bytes and counts are those of the long way, in the arena and in its pool", () => {
  const short = begun();
  const long = begun();
  // An alignment that is told goes the long way, even the default one.
  for (const [dtype, count] of [
    ["float64", 5],
    ["uint8", 7],
    ["int16", 3],
    ["float32", 600],
  ] as const) {
    const [a, b] = [short.arena.array(dtype, count), long.arena.array(dtype, count, "told", 8)];
    expect([a.byteOffset, a.length]).toEqual([b.byteOffset, b.length]);
    expect(short.arena.usedBytes).toBe(long.arena.usedBytes);
    expect(short.arena.stats()).toEqual(long.arena.stats());
    expect(short.pool.ledger.stats()).toEqual(long.pool.ledger.stats());
  }
  expect(short.arena.stats().paddingBytes).toBe(5 + 1 + 2);
  for (const { arena, pool } of [short, long]) {
    arena.reset("retain");
    expect(arena.stats()).toMatchObject({ liveBytes: 0, paddingBytes: 0, freeCount: 5 });
    arena.end();
    expect(pool.ledger.stats().live).toEqual({
      value: 0,
      peak: 3 + 40 + 7 + 6 + 2400,
      total: 2456,
    });
  }
});

test("an observer that comes later is told, and one that goes is not", () => {
  const { arena } = begun();
  const told: [string, number][] = [];
  arena.observer = {
    allocated: (_owner, _key, label, byteLength) => void told.push([label, byteLength]),
    freed: () => {},
    endedAll: () => {},
  };
  arena.array("float32", 2, "seen");
  arena.observer = null;
  arena.array("float32", 2, "unseen");
  expect(told).toEqual([["seen", 8]]);
  arena.end();
});

test("the last byte of a page is taken, and the one behind it is of the next", () => {
  const { arena } = begun();
  expect(arena.array("uint8", 4 * KiB - 8).byteOffset).toBe(8);
  const next = arena.array("uint8", 1);
  expect([next.byteOffset, arena.usedBytes, arena.stats().reservedBytes]).toEqual([
    0,
    4 * KiB + 1,
    8 * KiB,
  ]);
  arena.end();
  expect(codeOf(() => arena.array("uint8", 1))).toBe("SCOPE_ENDED");
});

test("after a reset nothing is taken of a page that went back", () => {
  const { arena, pool } = begun();
  arena.reset();
  const other = new HotArena(pool, "other");
  const theirs = other.array("uint8", 16).fill(1);
  arena.array("uint8", 16).fill(2);
  expect(Array.from(theirs)).toEqual(Array.from({ length: 16 }, () => 1));
  arena.end();
  other.end();
});

test("an arena inside another one asks it every time whether it has ended", () => {
  const { arena } = begun();
  const inner = arena.nested({ byteLength: 256, label: "inner" });
  inner.array("float32", 4);
  inner.array("float32", 4);
  arena.reset("retain");
  expect(codeOf(() => inner.array("float32", 4))).toBe("SCOPE_ENDED");
  arena.end();
});
