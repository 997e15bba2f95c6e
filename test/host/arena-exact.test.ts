/** Arenas, their pages and pinned buffers at the edges: what fits exactly, what is kept, what goes back. */

import { describe, expect, test } from "vitest";

import { HotArena, KiB, MiB, PagePool, PinnedHeap } from "../../src/index.ts";
import { FakeSource } from "../regions/fake-mappable.ts";
import { caught, codeOf } from "../support/caught.ts";
import { kibibyte, open } from "../support/plain-pinned.ts";

const pageBytes = 16 * KiB;

describe("pages", () => {
  test("have the documented sizes, and are not detached unless asked", () => {
    const pool = new PagePool();
    expect([pool.pageBytes, pool.budgetBytes]).toEqual([256 * KiB, 1024 * MiB]);
    const arena = new HotArena(pool);
    const array = arena.array("uint8", 8);
    arena.end();
    expect(array).toHaveLength(8);
    const fixed = HotArena.fixed({ byteLength: 64 });
    const kept = fixed.array("uint8", 8);
    fixed.reset();
    expect(kept).toHaveLength(8);
    expect(fixed.alignmentKind).toBe("offset");
    expect(HotArena.over(new WebAssembly.Memory({ initial: 1 })).alignmentKind).toBe("address");
  });

  test("are filled to their last byte before the next is taken", () => {
    const pool = new PagePool({ pageBytes });
    const arena = new HotArena(pool);
    for (let half = 0; half < 2; half++) arena.alloc({ byteLength: pageBytes / 2 });
    expect([arena.usedBytes, pool.ledger.stats().reservedBytes]).toEqual([pageBytes, pageBytes]);
    arena.alloc({ byteLength: 8 });
    expect([arena.usedBytes, pool.ledger.stats().reservedBytes]).toEqual([
      pageBytes + 8,
      2 * pageBytes,
    ]);
    arena.alloc({ byteLength: pageBytes });
    expect(arena.usedBytes).toBe(3 * pageBytes);
    expect(arena.remainingBytes).toBe(pool.availableBytes);
    arena.end();
    expect([arena.usedBytes, arena.remainingBytes]).toEqual([0, 0]);
  });

  test("of the pool are available while they are free, up to the budget and the cache", () => {
    const pool = new PagePool({ pageBytes, budgetBytes: 3 * pageBytes, cacheBytes: 2 * pageBytes });
    expect(pool.availableBytes).toBe(3 * pageBytes);
    const arena = new HotArena(pool);
    const fill = (): void => {
      for (let page = 0; page < 3; page++) arena.alloc({ byteLength: pageBytes });
    };
    fill();
    expect(pool.availableBytes).toBe(0);
    expect(caught(() => arena.alloc({ byteLength: 1 }))).toMatchObject({
      code: "OUT_OF_MEMORY",
      requestedBytes: pageBytes,
      availableBytes: 0,
    });
    arena.reset();
    // The cache has room for two of the three.
    expect(pool.ledger.stats().reservedBytes).toBe(2 * pageBytes);
    expect(pool.availableBytes).toBe(3 * pageBytes);
    fill();
    arena.reset();
    pool.trim(pageBytes);
    expect(pool.ledger.stats().reservedBytes).toBe(pageBytes);
    // Where the budget would refuse, what is only cached goes first.
    const large = arena.alloc({ byteLength: 3 * pageBytes });
    expect(large.isAlive).toBe(true);
    arena.end();
  });
});

describe("a page that is asked for", () => {
  const ofThreePages = (): { pool: PagePool; arena: HotArena } => {
    const pool = new PagePool({ pageBytes, budgetBytes: 3 * pageBytes });
    return { pool, arena: new HotArena(pool) };
  };

  test("is a free one where the bytes fill it exactly", () => {
    const { pool, arena } = ofThreePages();
    for (let round = 0; round < 3; round++) {
      arena.alloc({ byteLength: pageBytes });
      arena.reset();
    }
    expect(pool.ledger.stats().reserved.total).toBe(pageBytes);
  });

  test("leaves the free ones alone up to the last byte of the budget", () => {
    const { pool, arena } = ofThreePages();
    arena.alloc({ byteLength: 8 });
    arena.reset();
    arena.alloc({ byteLength: 2 * pageBytes });
    expect(pool.ledger.stats()).toMatchObject({
      reservedBytes: 3 * pageBytes,
      freeBytes: pageBytes,
    });
    arena.end();
  });

  test("is refused with the number of bytes that are left", () => {
    const { arena } = ofThreePages();
    arena.alloc({ byteLength: 8 });
    const error = caught(() => arena.alloc({ byteLength: 3 * pageBytes }));
    expect(error).toMatchObject({ code: "OUT_OF_MEMORY", availableBytes: 2 * pageBytes });
    arena.end();
  });
});

describe("numbers beyond 32 bits", () => {
  test("offsets above two gibibytes are aligned, and do not overlap", () => {
    const start = 2 ** 31;
    const page = { memory: new ArrayBuffer(0), start, size: KiB };
    const arena = new HotArena({
      alignmentKind: "offset",
      ledger: null,
      availableBytes: 0,
      lease: () => page,
      giveBack() {},
      keep() {},
    });
    const offsets = [4, 4, 4].map((byteLength) => arena.alloc({ byteLength }).byteOffset - start);
    expect(offsets).toEqual([0, 8, 16]);
    arena.end();
  });

  test("an alignment of two gibibytes is one that a small arena has no room for", () => {
    const arena = HotArena.fixed({ byteLength: KiB });
    arena.alloc({ byteLength: 8 });
    expect(codeOf(() => arena.alloc({ byteLength: 8, alignment: 2 ** 31 }))).toBe(
      "REGION_EXHAUSTED",
    );
    arena.end();
  });

  test("an array has at most 2^53 - 1 bytes, and what is refused has its name", () => {
    const arena = new HotArena(new PagePool({ pageBytes }));
    const refused = (dtype: "uint8" | "int16", count: number) =>
      caught(() => arena.array(dtype, count, "row"));
    const most = Number.MAX_SAFE_INTEGER;
    expect(refused("uint8", most)).toMatchObject({ code: "OUT_OF_MEMORY", label: "row" });
    expect(refused("int16", most)).toMatchObject({ code: "SIZE_OVERFLOW", label: "row" });
    expect(refused("uint8", 0)).toMatchObject({ code: "INVALID_LAYOUT", label: "row" });
    arena.end();
  });
});

describe("a reset", () => {
  test("keeps as many bytes as it is told, and a page that is too small is passed over", () => {
    const pool = new PagePool({ pageBytes });
    const arena = new HotArena(pool);
    const reserved = (): number => pool.ledger.stats().reservedBytes;
    arena.alloc({ byteLength: 8 });
    arena.alloc({ byteLength: 40 * KiB });
    expect(reserved()).toBe(56 * KiB);
    arena.reset("retain");
    arena.alloc({ byteLength: 40 * KiB });
    expect(reserved()).toBe(56 * KiB);
    arena.alloc({ byteLength: 41 * KiB });
    expect(reserved()).toBe(100 * KiB);
    arena.reset(pageBytes);
    pool.trim(0);
    expect(reserved()).toBe(pageBytes);
    arena.reset("free");
    pool.trim(0);
    expect(reserved()).toBe(0);
    arena.end();
  });

  test("ends every handle, however often it happens", () => {
    const arena = HotArena.fixed({ byteLength: 64 });
    const handles = Array.from({ length: 3 }, () => {
      const handle = arena.alloc({ byteLength: 8 });
      arena.reset();
      return handle;
    });
    arena.alloc({ byteLength: 8 });
    expect(handles.map(({ isAlive }) => isAlive)).toEqual([false, false, false]);
    arena.end();
  });
});

test("what alignment leaves too little room for is exhausted, and the arena goes on", () => {
  const arena = HotArena.over(new ArrayBuffer(108), { byteOffset: 8 });
  const error = caught(() => arena.alloc({ byteLength: 60, alignment: 64, label: "vector" }));
  expect(error).toMatchObject({ code: "REGION_EXHAUSTED", label: "vector" });
  expect(arena.alloc({ byteLength: 40, alignment: 64 }).byteOffset).toBe(64);
  arena.end();
  const whole = HotArena.over(new ArrayBuffer(1), { byteLength: 1 });
  expect(whole.alloc({ byteLength: 1, alignment: 1 }).byteOffset).toBe(0);
  whole.end();
});

describe("pinned buffers", () => {
  test("are pooled, used again and trimmed to the byte", () => {
    const { heap, source } = open(4 * KiB);
    const take = () => heap.alloc(kibibyte);
    const blocks = [take(), take(), take(), take()];
    expect(codeOf(take)).toBe("OUT_OF_MEMORY");
    for (const block of blocks) heap.free(block);
    expect(source.aliveBytes).toBe(4 * KiB);
    const again = take();
    expect(source.createdCount).toBe(4);
    heap.trim(2 * KiB);
    expect(source.aliveBytes).toBe(3 * KiB);
    heap.free(again);
    heap.trim(3 * KiB);
    expect(source.aliveBytes).toBe(3 * KiB);
    // Another size needs the room of what is pooled, and takes no more of it than that.
    const other = heap.alloc({ byteLength: 2 * KiB });
    expect(source.aliveBytes).toBe(4 * KiB);
    heap.free(other);
    heap.trim(0);
    expect(source.aliveBytes).toBe(0);
  });

  test("an error says what is left", () => {
    const { heap } = open(3 * KiB);
    const block = heap.alloc({ byteLength: 2 * KiB });
    expect(caught(() => heap.alloc({ byteLength: 2 * KiB }))).toMatchObject({
      requestedBytes: 2 * KiB,
      availableBytes: KiB,
    });
    heap.free(block);
    heap.trim(0);
  });

  test("one that the platform refused later is never handed out", () => {
    const source = new FakeSource();
    const heap = new PinnedHeap(source, { budgetBytes: 8 * KiB });
    const [bad, pooled] = [heap.alloc(kibibyte), heap.alloc(kibibyte)];
    heap.free(pooled);
    const failure = new Error("no memory after all");
    for (const buffer of source.alive) Object.assign(buffer, { failure });
    heap.free(bad);
    const good = heap.alloc(kibibyte);
    expect(source.createdCount).toBe(3);
    expect(source.aliveBytes).toBe(KiB);
    heap.free(good);
    heap.trim(0);
    expect(heap.stats()).toMatchObject({ liveBytes: 0, reservedBytes: 0 });
  });
});
