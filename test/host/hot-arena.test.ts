import * as fc from "fast-check";
import { expect, test } from "vitest";

import { dtypes, HotArena, KiB, PagePool } from "../../src/index.ts";
import { caught, codeOf } from "../support/caught.ts";

const pageBytes = 4 * KiB;

test("interleaved arenas, ended in any order, never touch each other's bytes", () => {
  const program = fc.array(fc.tuple(fc.nat(3), fc.integer({ min: 1, max: 3000 }), fc.nat(9)), {
    minLength: 50,
    maxLength: 200,
  });
  fc.assert(
    fc.property(program, (steps) => {
      const pool = new PagePool({ pageBytes });
      const arenas = [0, 1, 2, 3].map((index) => new HotArena(pool, `arena ${index}`));
      const mine: { bytes: Uint8Array; value: number }[][] = [[], [], [], []];
      const expectIntact = (index: number): void => {
        for (const { bytes, value } of mine[index]!)
          expect(bytes.every((byte) => byte === value)).toBe(true);
      };
      for (const [step, [index, size, action]] of steps.entries()) {
        if (action === 0) {
          expectIntact(index);
          arenas[index]!.end();
          arenas[index] = new HotArena(pool, `arena ${index}, again`);
          mine[index] = [];
        }
        const bytes = arenas[index]!.alloc({ byteLength: size }).bytes();
        bytes.fill(step & 0xff);
        mine[index]!.push({ bytes, value: step & 0xff });
      }
      for (const index of mine.keys()) expectIntact(index);
      for (const arena of arenas) arena.end();
      expect(pool.ledger.stats()).toMatchObject({
        liveBytes: 0,
        paddingBytes: 0,
        deferredBytes: 0,
      });
      pool.trim(0);
      expect(pool.ledger.stats().reservedBytes).toBe(0);
    }),
    { numRuns: 60 },
  );
});

test("an arena that ends gives back its own pages, and a later one uses them again", () => {
  const pool = new PagePool({ pageBytes });
  const outer = new HotArena(pool);
  const kept = outer.array("uint8", 100).fill(1);
  const inner = new HotArena(pool);
  const buffers = [0, 1, 2].map(() => inner.array("uint8", 3000).fill(2).buffer);
  const late = outer.array("uint8", 100).fill(3);
  inner.end();
  expect(pool.ledger.stats()).toMatchObject({ liveBytes: 200, reservedBytes: 4 * pageBytes });
  const heir = new HotArena(pool);
  const again = [0, 1, 2].map(() => heir.array("uint8", 3000).fill(4).buffer);
  expect(new Set(again)).toEqual(new Set(buffers));
  // The bytes of the arena that did not end are where they were.
  expect(kept.buffer).toBe(late.buffer);
  expect([kept[99], late[0]]).toEqual([1, 3]);
  expect(pool.ledger.stats().reserved).toMatchObject({
    value: 4 * pageBytes,
    total: 4 * pageBytes,
  });
  for (const arena of [outer, heir]) arena.end();
});

test("the budget counts every page once, and names the numbers where it is spent", () => {
  const pool = new PagePool({ pageBytes, budgetBytes: 3 * pageBytes });
  const [a, b] = [new HotArena(pool, "a"), new HotArena(pool, "b")];
  for (const arena of [a, b, a]) arena.alloc({ byteLength: pageBytes });
  const before = pool.ledger.stats();
  expect(before.reservedBytes).toBe(3 * pageBytes);
  const error = caught(() => b.alloc({ byteLength: 10, label: "straw" }));
  expect(error).toMatchObject({
    code: "OUT_OF_MEMORY",
    label: "straw",
    requestedBytes: pageBytes,
    availableBytes: 0,
  });
  expect(error.message).toContain("budget.hotBytes");
  expect(pool.ledger.stats()).toEqual({ ...before, failedCount: 1 });
  a.end();
  expect(b.alloc({ byteLength: 10 }).isAlive).toBe(true);
  b.end();
});

test("cached pages make way for a large request within the budget", () => {
  const pool = new PagePool({ pageBytes, budgetBytes: 4 * pageBytes });
  const arena = new HotArena(pool);
  for (let index = 0; index < 4; index++) arena.alloc({ byteLength: pageBytes });
  arena.reset();
  expect(pool.ledger.stats()).toMatchObject({
    reservedBytes: 4 * pageBytes,
    freeBytes: 4 * pageBytes,
  });
  expect(arena.alloc({ byteLength: 4 * pageBytes }).bytes().length).toBe(4 * pageBytes);
  arena.end();
  // A page of another size is not kept.
  expect(pool.ledger.stats().reservedBytes).toBe(0);
});

test("the cache of free pages is bounded", () => {
  const pool = new PagePool({ pageBytes, cacheBytes: 2 * pageBytes });
  const arena = new HotArena(pool);
  for (let index = 0; index < 5; index++) arena.alloc({ byteLength: pageBytes });
  arena.end();
  expect(pool.ledger.stats().reservedBytes).toBe(2 * pageBytes);
});

test("large allocations have pages of their own size, and small ones go on after them", () => {
  const pool = new PagePool({ pageBytes });
  const arena = new HotArena(pool);
  const sizes = [100, 10 * pageBytes + 1, 100, 4097, 7];
  const arrays = sizes.map((size, index) => arena.array("uint8", size).fill(index));
  expect(arrays[1]!.buffer.byteLength).toBe(10 * pageBytes + 4096);
  for (const [index, array] of arrays.entries()) {
    expect(array.length).toBe(sizes[index]);
    expect(array.every((byte) => byte === index)).toBe(true);
  }
  const { liveBytes, paddingBytes, deferredBytes, freeBytes, reservedBytes } = arena.stats();
  expect(liveBytes).toBe(sizes.reduce((a, b) => a + b, 0));
  expect(liveBytes + paddingBytes + deferredBytes + freeBytes).toBe(reservedBytes);
  arena.end();
});

test("a reset ends every handle at once, and the arena goes on", () => {
  const arena = new HotArena(new PagePool({ pageBytes }), "scratch");
  const old = [arena.alloc({ byteLength: 8, label: "old" }), arena.alloc({ byteLength: 8 })];
  arena.reset();
  for (const handle of old) {
    expect(handle.isAlive).toBe(false);
    for (const use of [
      () => handle.bytes(),
      () => handle.array("float32"),
      () => handle.byteOffset,
    ])
      expect(codeOf(use)).toBe("USE_AFTER_DISPOSE");
    expect(codeOf(() => arena.free(handle))).toBe("DOUBLE_FREE");
  }
  const next = arena.alloc({ byteLength: 8 });
  expect(old[0]!.isAlive).toBe(false);
  expect(next.isAlive).toBe(true);
  expect(arena.stats()).toMatchObject({ liveBytes: 8, allocationCount: 3, freeCount: 2 });
  arena.end();
});

test("an arena that has ended says so, and names who asked", () => {
  const pool = new PagePool({ pageBytes });
  const arena = new HotArena(pool, "scope of the picture");
  arena.alloc({ byteLength: 8 });
  arena.end();
  arena.end();
  const error = caught(() => arena.alloc({ byteLength: 8, label: "row" }));
  expect(error).toMatchObject({ code: "SCOPE_ENDED", label: "row" });
  expect(error.message).toContain("scope of the picture");
  expect(arena.stats().reservedBytes).toBe(0);
});

test("arrays of every dtype, aligned to their elements, of exactly the count", () => {
  const arena = new HotArena(new PagePool({ pageBytes }));
  for (const dtype of dtypes) {
    arena.array("uint8", 1);
    const array = arena.array(dtype, 33, dtype);
    expect(array.length).toBe(33);
    expect(array.byteOffset % array.BYTES_PER_ELEMENT).toBe(0);
  }
  for (const count of [0, -1, 1.5, NaN])
    expect(codeOf(() => arena.array("float32", count))).toBe("INVALID_LAYOUT");
  expect(codeOf(() => arena.array("float32", 2 ** 52))).toBe("SIZE_OVERFLOW");
  arena.end();
});
