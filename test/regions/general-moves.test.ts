/**
 * What only a heap that moves its blocks can get wrong. Finalizers are the test's own, so that they
 * come late, out of order, or never.
 */

import { describe, expect, test } from "vitest";

import { Diagnostics, GeneralHeap } from "../../src/index.ts";
import type { GeneralBlock, GeneralHeapOptions, PressureEvent } from "../../src/index.ts";
import { caught, codeOf } from "../support/caught.ts";
import { pattern } from "./subject.ts";

const KiB = 1024;

/** The engine's part: who is registered, and telling the heap that one of them is unreachable. */
class FakeEngine {
  readonly held = new Map<object, number>();
  #reclaim: (held: number) => void = () => {};

  readonly finalizers: NonNullable<GeneralHeapOptions["finalizers"]> = (reclaim) => {
    this.#reclaim = reclaim;
    return {
      register: (target, held) => void this.held.set(target, held),
      unregister: (token) => void this.held.delete(token),
    };
  };

  /** As the engine does it: the handle is gone when its finalizer runs. */
  finalize(block: object): void {
    const held = this.held.get(block)!;
    this.held.delete(block);
    this.#reclaim(held);
  }
}

interface Setup {
  readonly heap: GeneralHeap;
  readonly engine: FakeEngine;
}

function open(options: GeneralHeapOptions = {}): Setup {
  const engine = new FakeEngine();
  const heap = new GeneralHeap({
    regionBytes: 16 * KiB,
    budgetBytes: 1024 * KiB,
    youngRegions: 0,
    growth: 0,
    finalizers: engine.finalizers,
    ...options,
  });
  return { heap, engine };
}

function filled(heap: GeneralHeap, byteLength: number, seed: number): GeneralBlock {
  const block = heap.alloc({ byteLength, label: `block ${seed}` });
  block.bytes().set(pattern(byteLength, seed));
  return block;
}

function expectFilled(block: GeneralBlock, seed: number): void {
  expect(block.bytes()).toEqual(pattern(block.byteLength, seed));
}

test("survivors keep their contents through promotion and compaction", () => {
  const { heap } = open();
  const kept: GeneralBlock[] = [];
  for (let seed = 0; seed < 400; seed++) {
    const block = filled(heap, 200 + seed, seed);
    if (seed % 10 === 0) kept.push(block);
    else block.dispose();
  }
  for (let round = 0; round < 4; round++) heap.collect();
  for (const [index, block] of kept.entries()) expectFilled(block, index * 10);
  const { movedBytes, promotedCount, vacatedRegions } = heap.collectionStats();
  expect(movedBytes).toBeGreaterThan(0);
  expect(promotedCount).toBe(kept.length);
  expect(vacatedRegions).toBeGreaterThan(3);
  const { liveBytes, reservedBytes, freeBytes, deferredBytes } = heap.stats();
  // All that lives fits into two regions.
  expect(deferredBytes).toBeLessThan(32 * KiB);
  expect(reservedBytes - freeBytes).toBeLessThanOrEqual(liveBytes + 48 * KiB);
  for (const block of kept) block.dispose();
  heap.collect();
  expect(heap.stats()).toMatchObject({ liveBytes: 0, paddingBytes: 0 });
});

test("a raw view of a region that was emptied has length 0, and a new one shows the contents", () => {
  const { heap } = open();
  const block = filled(heap, 1000, 1);
  const stale = block.bytes();
  const part = stale.subarray(10, 20);
  heap.collect();
  expect([stale.length, part.length, stale[0]]).toEqual([0, 0, undefined]);
  expectFilled(block, 1);
  block.dispose();
});

test("memory that a disposed block leaves to the next one is not seen through old views", () => {
  const { heap } = open();
  const views: Uint8Array[] = [];
  for (let count = 0; count < 100; count++) {
    const block = filled(heap, 4 * KiB, count);
    views.push(block.bytes());
    block.dispose();
  }
  // Only what lies in the nursery now is not taken away yet.
  expect(views.slice(0, -4).every(({ length }) => length === 0)).toBe(true);
  expect(heap.stats().reservedBytes).toBeLessThanOrEqual(32 * KiB);
});

describe("unreachable blocks", () => {
  test("end when the engine says so, in any order, and once", () => {
    const { heap, engine } = open();
    const blocks = Array.from({ length: 60 }, (_, seed) => filled(heap, 1000, seed));
    heap.collect();
    expect(engine.held.size).toBe(60);
    const [first, second, ...rest] = blocks.toReversed();
    engine.finalize(second!);
    engine.finalize(first!);
    expect(codeOf(() => first!.bytes())).toBe("USE_AFTER_DISPOSE");
    // A disposed handle is not the engine's affair any more.
    rest[0]!.dispose();
    expect(engine.held.has(rest[0]!)).toBe(false);
    expect(heap.stats()).toMatchObject({ liveBytes: 57_000, freeCount: 3 });
    expect(heap.collectionStats()).toMatchObject({ reclaimedCount: 2, reclaimedBytes: 2000 });
    for (const block of rest.slice(1)) expectFilled(block, blocks.indexOf(block));
    for (const block of rest.slice(1)) engine.finalize(block);
    heap.collect();
    expect(heap.stats()).toMatchObject({ liveBytes: 0, deferredBytes: 0 });
  });

  test("a finalizer that comes after its entry was taken again ends nothing", () => {
    const { heap, engine } = open();
    const gone = heap.alloc({ byteLength: 100 });
    heap.collect();
    const held = engine.held.get(gone)!;
    heap.free(gone);
    const heir = filled(heap, 100, 5);
    heap.collect();
    engine.held.set(gone, held);
    engine.finalize(gone);
    expectFilled(heir, 5);
    heir.dispose();
  });

  test("no dead block survives the collection after its finalizer ran", () => {
    const { heap, engine } = open();
    const blocks = Array.from({ length: 200 }, (_, seed) => filled(heap, 500, seed));
    heap.collect();
    for (const block of blocks.slice(0, 150)) engine.finalize(block);
    heap.collect();
    const { liveBytes, reservedBytes, freeBytes } = heap.stats();
    expect(liveBytes).toBe(25_000);
    expect(reservedBytes - freeBytes).toBeLessThanOrEqual(48 * KiB);
    for (const block of blocks.slice(150)) block.dispose();
  });
});

describe("pins", () => {
  test("a pinned block stays where it is, whatever moves around it", () => {
    const { heap } = open();
    const before = filled(heap, 3000, 1);
    const block = filled(heap, 3000, 2);
    const after = filled(heap, 3000, 3);
    const pin = block.pin();
    const view = pin.bytes();
    expect([heap.isPinned(block), heap.isPinned(after)]).toEqual([true, false]);
    before.dispose();
    for (let round = 0; round < 5; round++) heap.collect();
    expect(view).toEqual(pattern(3000, 2));
    expect(view.buffer).toBe(block.bytes().buffer);
    expectFilled(after, 3);
    expect(after.bytes().buffer).not.toBe(view.buffer);
    pin.dispose();
    pin.dispose();
    heap.collect();
    expect(view.length).toBe(0);
    expectFilled(block, 2);
    expect(codeOf(() => pin.bytes())).toBe("USE_AFTER_DISPOSE");
    block.dispose();
    after.dispose();
  });

  test("a pin keeps a disposed block alive to its own end", () => {
    const { heap } = open();
    const block = filled(heap, 100, 4);
    const pin = block.pin();
    block.dispose();
    expect(block.isAlive).toBe(false);
    heap.collect();
    expect(pin.bytes()).toEqual(pattern(100, 4));
    expect(heap.stats().liveBytes).toBe(100);
    pin.dispose();
    expect(heap.stats().liveBytes).toBe(0);
  });

  test("pinned for long, it moves once, and keeps no other region from being emptied", () => {
    const { heap } = open();
    const others = Array.from({ length: 7 }, (_, seed) => filled(heap, 2000, seed));
    const block = filled(heap, 2000, 9);
    const shared = block.bytes().buffer;
    const pin = block.pin({ long: true });
    const view = pin.bytes();
    expect(view.buffer).not.toBe(shared);
    expect(view).toEqual(pattern(2000, 9));
    for (const other of others) other.dispose();
    heap.collect();
    heap.collect();
    expect(view).toEqual(pattern(2000, 9));
    pin.dispose();
    block.dispose();
    heap.collect();
    expect(heap.stats()).toMatchObject({ liveBytes: 0, deferredBytes: 0 });
  });

  test("withPinned holds to the end of its promise, and lets go when it throws", async () => {
    const { heap } = open();
    const block = filled(heap, 64, 6);
    let finish!: () => void;
    const done = heap.withPinned(block, async (bytes) => {
      await new Promise<void>((resolve) => (finish = resolve));
      return bytes;
    });
    expect(block.isPinned).toBe(true);
    heap.collect();
    finish();
    expect(await done).toEqual(pattern(64, 6));
    expect(block.isPinned).toBe(false);
    const fails = (): never => {
      throw new Error("inside");
    };
    expect(() => heap.withPinned(block, fails)).toThrow("inside");
    expect(block.isPinned).toBe(false);
    block.dispose();
  });
});

describe("withNoGC", () => {
  test("nothing moves inside, nested and across await", async () => {
    const { heap } = open();
    const block = filled(heap, 100, 1);
    const view = block.bytes();
    await heap.withNoGC(async () => {
      heap.withNoGC(() => expect(heap.collect()).toBe(false));
      await Promise.resolve();
      for (let seed = 0; seed < 100; seed++) filled(heap, 1000, seed).dispose();
      expect([heap.collect(), heap.safePoint()]).toEqual([false, false]);
      expect(view).toEqual(pattern(100, 1));
    });
    expect(heap.collect()).toBe(true);
    expect(view.length).toBe(0);
    block.dispose();
  });

  test("a budget that only a collection could save is refused, and the message says why", () => {
    const { heap } = open({ budgetBytes: 64 * KiB });
    const kept: GeneralBlock[] = [];
    const error = heap.withNoGC(() =>
      caught(() => {
        for (;;) {
          const block = heap.alloc({ byteLength: 2000 });
          if (kept.length % 2 === 0) kept.push(block);
          else kept.push(heap.alloc({ byteLength: 8 }));
          if (kept.length % 2 === 0) block.dispose();
        }
      }),
    );
    expect(error).toMatchObject({ code: "OUT_OF_MEMORY" });
    expect(error.message).toContain("withNoGC");
    kept.push(heap.alloc({ byteLength: 2000 }));
    for (const block of kept) block.dispose();
  });
});

test("retained handles have ends of their own", () => {
  const { heap, engine } = open();
  const block = filled(heap, 100, 1);
  const other = block.retain();
  block.dispose();
  expect([block.isAlive, other.isAlive]).toEqual([false, true]);
  heap.collect();
  expectFilled(other, 1);
  const third = other.retain();
  engine.finalize(other);
  expectFilled(third, 1);
  // The block has not ended: nothing is reclaimed.
  expect(heap.collectionStats()).toMatchObject({ reclaimedCount: 0, reclaimedBytes: 0 });
  heap.free(third);
  expect(heap.stats()).toMatchObject({ liveBytes: 0, allocationCount: 1, freeCount: 1 });
});

test("slices end in time, and what they leave half done is right", () => {
  let now = 0;
  const { heap } = open({ now: () => (now += 0.5), pauseMs: 2, youngRegions: 0 });
  const blocks = Array.from({ length: 300 }, (_, seed) => filled(heap, 300, seed));
  let slices = 0;
  while (heap.safePoint() && slices < 1000) {
    slices++;
    for (const [seed, block] of blocks.entries()) expectFilled(block, seed);
  }
  expect(slices).toBeGreaterThan(5);
  expect(heap.collectionStats().pauses.longestMs).toBeLessThan(4);
  for (const block of blocks) block.dispose();
});

describe("pressure", () => {
  test("listeners are told once per level, with exact bytes, and may free what is missing", () => {
    const events: PressureEvent[] = [];
    const hoard: GeneralBlock[] = [];
    const { heap } = open({ budgetBytes: 160 * KiB, largeBytes: 4 * KiB });
    const end = heap.onPressure((event) => {
      events.push(event);
      if (event.level === "critical") for (const block of hoard.splice(0)) block.dispose();
    });
    for (let count = 0; count < 13; count++) hoard.push(heap.alloc({ byteLength: 16 * KiB }));
    expect(events[0]).toEqual({
      level: "high",
      usedBytes: 128 * KiB,
      budgetBytes: 160 * KiB,
      requestedBytes: 16 * KiB,
    });
    expect(events.map(({ level }) => level)).toEqual(["high", "critical"]);
    end();
    for (const block of hoard) block.dispose();
  });

  test("who ignores it is warned once", () => {
    const warnings: string[] = [];
    const { heap } = open({
      budgetBytes: 64 * KiB,
      onIgnoredPressure: (text) => warnings.push(text),
    });
    const kept = [heap.alloc({ byteLength: 16 * KiB }), heap.alloc({ byteLength: 16 * KiB })];
    kept.push(heap.alloc({ byteLength: 16 * KiB }));
    for (let count = 0; count < 10; count++)
      expect(codeOf(() => heap.alloc({ byteLength: 16 * KiB }))).toBe("OUT_OF_MEMORY");
    expect(warnings).toHaveLength(1);
    expect(warnings[0]).toContain("general heap");
    for (const block of kept) block.dispose();
  });
});

test("hooks hear of every allocation, move, collection and end", () => {
  const heard = { allocated: 0, freed: 0, moved: 0, collections: 0 };
  const observer = new Diagnostics({
    hooks: {
      onAllocation: ({ byteLength }) => void (heard.allocated += byteLength),
      onFree: ({ byteLength }) => void (heard.freed += byteLength),
    },
  });
  const { heap } = open({
    hooks: {
      onMove: ({ byteLength }) => void (heard.moved += byteLength),
      onCollection: () => void heard.collections++,
    },
  });
  heap.observer = observer;
  const blocks = Array.from({ length: 50 }, () => heap.alloc({ byteLength: 1000 }));
  heap.collect();
  expect(heard.allocated).toBe(50_000);
  expect(heard.moved).toBe(heap.collectionStats().movedBytes);
  expect(heard.moved).toBeGreaterThanOrEqual(50_000);
  for (const block of blocks) block.dispose();
  expect(heard.freed).toBe(50_000);
  expect(heard.collections).toBe(heap.collectionStats().pauses.count);
});

test.each([
  [{ regionBytes: 1000 }, "regionBytes"],
  [{ regionBytes: 48 * KiB }, "regionBytes"],
  [{ budgetBytes: 16 * KiB }, "budgetBytes"],
  [{ promotionAge: 0 }, "promotionAge"],
  [{ pauseMs: 0 }, "pauseMs"],
  [{ evacuateBelow: 2 }, "evacuateBelow"],
  [{ watermarks: { high: 0.9, critical: 0.5 } }, "watermarks.critical"],
] as const)("a setting that cannot be right, %j, is refused by name", (options, name) => {
  const error = caught(() => open(options));
  expect(error.code).toBe("INVALID_ARGUMENT");
  expect(error.message).toContain(name);
});
