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

test.each([
  ["begins there", 2 ** 31],
  ["begins below it, and reaches there", 2 ** 31 - 64],
])("above two gibibytes, in memory that %s, arrays lie side by side", (_, byteOffset) => {
  // Of all of it the system has to find only what is touched.
  const memory = new WebAssembly.Memory({ initial: 2 ** 15 + 1 });
  const arena = HotArena.over(memory, { byteOffset, byteLength: 4 * KiB });
  const arrays: Float32Array[] = [];
  let end = byteOffset;
  for (let index = 0; index < 20; index++) {
    const handle = arena.alloc({ byteLength: 12 });
    const array = arena.array("float32", 3).fill(index);
    expect([handle.byteOffset, array.byteOffset]).toEqual([
      Math.ceil(end / 8) * 8,
      Math.ceil(end / 8) * 8 + 16,
    ]);
    end = array.byteOffset + 12;
    arrays.push(array);
    const { liveBytes, paddingBytes, deferredBytes, freeBytes, reservedBytes } = arena.stats();
    expect([liveBytes, reservedBytes]).toEqual([24 * (index + 1), 4 * KiB]);
    expect(liveBytes + paddingBytes + deferredBytes + freeBytes).toBe(reservedBytes);
    expect(arena.usedBytes).toBe(end - byteOffset);
  }
  expect(arrays.map((array) => array[2])).toEqual(arrays.map((__, index) => index));
  arena.end();
});

test("an alignment below the element's size is the element's, and nothing is lost by it", () => {
  const { arena } = begun();
  const array = arena.array("float32", 4, "x", 1);
  expect([array.byteOffset, array.length, arena.usedBytes]).toEqual([4, 4, 20]);
  arena.end();
});

test("memory that was taken away is told by the platform, and nothing is counted", () => {
  const memory = new ArrayBuffer(4096);
  const arena = HotArena.over(memory);
  arena.array("uint8", 8);
  const before = arena.stats();
  structuredClone(memory, { transfer: [memory] });
  expect(() => arena.array("uint8", 8)).toThrow(TypeError);
  expect(arena.stats()).toEqual(before);
});

test("strict: what a reset keeps is taken from who kept an array of it", () => {
  for (const arena of [
    HotArena.fixed({ byteLength: 4096, strict: true }),
    new HotArena(new PagePool({ pageBytes: 4096, strict: true })),
  ]) {
    const old = arena.array("uint8", 8).fill(7);
    arena.reset("retain");
    expect(old).toHaveLength(0);
    const next = arena.array("uint8", 8);
    // Nothing was copied: it is the same memory.
    expect([next.byteOffset, next[0], arena.stats().reservedBytes]).toEqual([0, 7, 4096]);
    arena.end();
    expect(next).toHaveLength(0);
  }
});

test("an alignment that is none is refused, and nothing is taken", () => {
  const { arena } = begun();
  const before = arena.usedBytes;
  for (const alignment of [3, 0, -8, 1.5])
    expect(codeOf(() => arena.array("float32", 1, "odd", alignment))).toBe("UNSUPPORTED_ALIGNMENT");
  expect(arena.usedBytes).toBe(before);
  arena.end();
});
