/** Arenas that are fixed, nested, over given memory, strict; and what a reset keeps. */

import { Worker } from "node:worker_threads";
import { describe, expect, test } from "vitest";

import { HotArena, KiB, MiB, PagePool } from "../../src/index.ts";
import { caught, codeOf } from "../support/caught.ts";

describe("fixed", () => {
  test("it has the size it was given, and is exhausted beyond", () => {
    const arena = HotArena.fixed({ byteLength: 1000, label: "small" });
    expect([arena.usedBytes, arena.remainingBytes]).toEqual([0, 1000]);
    arena.alloc({ byteLength: 100 });
    arena.alloc({ byteLength: 100 });
    expect([arena.usedBytes, arena.remainingBytes]).toEqual([204, 796]);
    const error = caught(() => arena.alloc({ byteLength: 793, label: "straw" }));
    expect(error).toMatchObject({ code: "REGION_EXHAUSTED", label: "straw", requestedBytes: 793 });
    expect(error.message).toContain("small");
    expect(arena.stats()).toMatchObject({ liveBytes: 200, failedCount: 1, reservedBytes: 1000 });
    arena.reset();
    expect(arena.alloc({ byteLength: 1000 }).bytes().length).toBe(1000);
    arena.end();
    expect(arena.remainingBytes).toBe(0);
  });

  test("one mebibyte where nothing is told", () => {
    expect(HotArena.fixed().remainingBytes).toBe(MiB);
  });

  test.each([0, -1, 1.5, NaN])("%d bytes are refused", (byteLength) => {
    const error = caught(() => HotArena.fixed({ byteLength, label: "odd" }));
    expect(error).toMatchObject({ code: "INVALID_ARGUMENT", label: "odd" });
  });

  test("a size that no buffer can have is told as such, with what the engine said", () => {
    const byteLength = Number.MAX_SAFE_INTEGER;
    const error = caught(() => HotArena.fixed({ byteLength, label: "huge" }));
    expect(error).toMatchObject({
      code: "OUT_OF_MEMORY",
      label: "huge",
      requestedBytes: byteLength,
      availableBytes: 0,
    });
    expect(error.cause).toBeInstanceOf(RangeError);
  });

  test("strict: a raw array that outlives the reset has length 0", () => {
    const arena = HotArena.fixed({ byteLength: KiB, strict: true });
    const kept = arena.array("float32", 8).fill(1);
    const part = kept.subarray(2);
    arena.reset();
    expect([kept.length, part.length]).toEqual([0, 0]);
    expect(arena.array("float32", 8).length).toBe(8);
    arena.end();
  });
});

describe("values and vectors", () => {
  test("a value is one element, set", () => {
    const arena = HotArena.fixed();
    const value = arena.value("float64", 2.5, "scale");
    expect([value.length, value[0]]).toEqual([1, 2.5]);
    arena.end();
  });

  test.each([16, 32, 64, 256])("arrays for vectors begin at multiples of %d", (alignment) => {
    const arena = new HotArena(new PagePool({ pageBytes: 4 * KiB }));
    for (let count = 1; count < 100; count += 7) {
      arena.array("uint8", 3);
      expect(arena.simdArray("float32", count, "v", alignment).byteOffset % alignment).toBe(0);
    }
    expect(arena.simdArray("int16", 5).byteOffset % 64).toBe(0);
    for (const [label, expected] of [
      ["v", "v"],
      [undefined, "temporary"],
    ] as const) {
      const error = caught(() => arena.simdArray("int16", 5, label, 48));
      expect(error).toMatchObject({ code: "UNSUPPORTED_ALIGNMENT", label: expected });
    }
    arena.end();
  });
});

describe("nested", () => {
  test("it lies inside its parent, ends alone, and is exhausted alone", () => {
    const parent = new HotArena(new PagePool({ pageBytes: 16 * KiB }), "parent");
    const before = parent.array("uint8", 10).fill(1);
    const child = parent.nested({ byteLength: 1000, label: "child" });
    const grandchild = child.nested({ byteLength: 100, label: "grandchild" });
    const after = parent.array("uint8", 10).fill(2);
    const inner = grandchild.array("uint8", 100).fill(3);
    expect(inner.buffer).toBe(before.buffer);
    expect(codeOf(() => grandchild.alloc({ byteLength: 1 }))).toBe("REGION_EXHAUSTED");
    child.array("uint8", 800).fill(4);
    expect([before[9], after[0], inner[99]]).toEqual([1, 2, 3]);
    child.end();
    expect(codeOf(() => grandchild.alloc({ byteLength: 1, label: "late" }))).toBe("SCOPE_ENDED");
    expect(parent.stats().liveBytes).toBe(20);
    parent.end();
  });

  test("it ends with its parent's reset, and so does what it gave out", () => {
    const parent = HotArena.fixed({ byteLength: 4 * KiB });
    const child = parent.nested({ byteLength: KiB, label: "child" });
    const made = child.alloc({ byteLength: 8, label: "mine" });
    parent.reset();
    expect([child.isUsable, made.isAlive, child.remainingBytes]).toEqual([false, false, 0]);
    expect(caught(() => made.bytes())).toMatchObject({ code: "USE_AFTER_DISPOSE", label: "mine" });
    expect(codeOf(() => child.alloc({ byteLength: 8 }))).toBe("SCOPE_ENDED");
    child.end();
    parent.end();
    expect(parent.stats()).toMatchObject({ liveBytes: 0, reservedBytes: 0 });
  });
});

describe("what a reset keeps", () => {
  const pageBytes = 4 * KiB;
  const rounds = (
    mode: "free" | "retain" | number,
  ): { leased: number; buffers: Set<ArrayBuffer>[] } => {
    const pool = new PagePool({ pageBytes, cacheBytes: 0 });
    const arena = new HotArena(pool);
    const buffers = [0, 1].map(() => {
      const seen = new Set([0, 1, 2].map(() => arena.array("uint8", pageBytes).buffer));
      arena.reset(mode);
      return seen;
    });
    const leased = arena.stats().reservedBytes;
    expect(pool.ledger.stats().reservedBytes).toBe(leased);
    expect(arena.remainingBytes).toBe(pool.budgetBytes);
    arena.end();
    expect(pool.ledger.stats()).toMatchObject({ reservedBytes: 0, liveBytes: 0 });
    return { leased, buffers };
  };

  test("nothing", () => expect(rounds("free").leased).toBe(0));

  test("everything: the next round lies in the same pages, in the same order", () => {
    const { leased, buffers } = rounds("retain");
    expect(leased).toBe(3 * pageBytes);
    expect([...buffers[1]!]).toEqual([...buffers[0]!]);
  });

  test("up to a limit", () => expect(rounds(2 * pageBytes + 1).leased).toBe(2 * pageBytes));
});

describe("over given memory", () => {
  test("it keeps to its range", () => {
    const memory = new Uint8Array(1024).fill(7);
    const arena = HotArena.over(memory.buffer, { byteOffset: 104, byteLength: 200 });
    arena.array("uint8", 10).fill(1);
    const aligned = arena.simdArray("float32", 4, "v", 64);
    expect(aligned.byteOffset).toBe(128);
    aligned.fill(0);
    expect(codeOf(() => arena.alloc({ byteLength: 200 }))).toBe("REGION_EXHAUSTED");
    expect([memory[103], memory[104], memory[113], memory[114], memory[304]]).toEqual([
      7, 1, 1, 7, 7,
    ]);
    arena.end();
  });

  test.each([
    [-1, 10],
    [0, 1025],
    [1020, 10],
    [0, 0],
    [0.5, 10],
  ])("a range that is not there, %d and %d bytes, is refused", (byteOffset, byteLength) => {
    const error = caught(() =>
      HotArena.over(new ArrayBuffer(1024), { byteOffset, byteLength, label: "part" }),
    );
    expect(error).toMatchObject({ code: "INVALID_ARGUMENT", label: "part" });
    expect(error.message).toContain(`bytes ${byteOffset} to ${byteOffset + byteLength} of`);
  });

  test("a range that a reset kept is used again, wherever it begins", () => {
    const arena = HotArena.over(new ArrayBuffer(1024), { byteOffset: 512 });
    arena.alloc({ byteLength: 512 });
    arena.reset("retain");
    expect(arena.alloc({ byteLength: 512 }).byteOffset).toBe(512);
    arena.end();
  });

  test("a WebAssembly memory that grows leaves handles good, and raw arrays empty", () => {
    const memory = new WebAssembly.Memory({ initial: 1 });
    const arena = HotArena.over(memory, { byteOffset: 1024, label: "wasm" });
    const made = arena.alloc({ byteLength: 16, label: "weights" });
    const stale = made.array("float32").fill(3);
    memory.grow(1);
    expect(stale.length).toBe(0);
    expect([...made.array("float32")]).toEqual([3, 3, 3, 3]);
    expect(made.bytes().buffer).toBe(memory.buffer);
    const next = arena.array("float32", 4).fill(5);
    expect(next.buffer).toBe(memory.buffer);
    // The range is that of the time when the arena was made.
    expect(codeOf(() => arena.alloc({ byteLength: 2 ** 16 }))).toBe("REGION_EXHAUSTED");
    arena.end();
  });

  test("a worker with an arena of its own fills shared memory, and its host reads it", async () => {
    const shared = new SharedArrayBuffer(4096);
    const arena = HotArena.over(shared, { label: "from a worker" });
    const sink = arena.alloc({ byteLength: 64, label: "sink" });
    const source = `
      const { workerData } = require("node:worker_threads");
      const view = new Float32Array(workerData.shared, workerData.byteOffset, 16);
      for (let at = 0; at < 16; at++) view[at] = at * 0.5;
    `;
    const worker = new Worker(source, {
      eval: true,
      workerData: { shared, byteOffset: sink.byteOffset },
    });
    await new Promise<void>((resolve, reject) => {
      worker.once("exit", () => resolve());
      worker.once("error", reject);
    });
    expect([...sink.array("float32")]).toEqual(Array.from({ length: 16 }, (_, at) => at * 0.5));
    arena.end();
  });
});

test("a strict pool's pages are taken away when a scope ends", () => {
  const pool = new PagePool({ strict: true });
  const [a, b] = [new HotArena(pool), new HotArena(pool)];
  const kept = a.array("uint8", 100).fill(1);
  const other = b.array("uint8", 100).fill(2);
  a.end();
  expect([kept.length, other.length]).toEqual([0, 100]);
  const heir = new HotArena(pool);
  expect(heir.array("uint8", 100).length).toBe(100);
  for (const arena of [b, heir]) arena.end();
});
