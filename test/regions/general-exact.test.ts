/** What a general heap counts, bounds and gives back, to the byte. */

import { describe, expect, test } from "vitest";

import { PressureGauge } from "../../src/host/general/pressure.ts";
import { GiB } from "../../src/index.ts";
import type { CollectionEvent, GeneralBlock } from "../../src/index.ts";
import { caught, codeOf } from "../support/caught.ts";
import { end, filled, open, regionBytes } from "./general-small.ts";
import { pattern } from "./subject.ts";

const KiB = 1024;

describe("collections", () => {
  test("count what they move, promote and empty", () => {
    const heap = open({ promotionAge: 2 });
    const blocks = Array.from({ length: 4 }, (_, seed) => filled(heap, 4000, seed));
    const counted = (): unknown => {
      const { pauses, pressure, ...counts } = heap.collectionStats();
      return { ...counts, pauses: pauses.count, pressure };
    };
    const nothing = { reclaimedCount: 0, reclaimedBytes: 0, pressure: "normal" };
    heap.collect();
    expect(counted()).toEqual({
      ...nothing,
      movedBytes: 16_000,
      movedCount: 4,
      promotedBytes: 0,
      promotedCount: 0,
      vacatedRegions: 1,
      youngEvacuations: 1,
      oldEvacuations: 0,
      fullCollections: 1,
      pauses: 1,
    });
    blocks[1]!.dispose();
    heap.collect();
    expect(counted()).toEqual({
      ...nothing,
      movedBytes: 28_000,
      movedCount: 7,
      promotedBytes: 12_000,
      promotedCount: 3,
      vacatedRegions: 2,
      youngEvacuations: 2,
      oldEvacuations: 0,
      fullCollections: 2,
      pauses: 2,
    });
    blocks[2]!.dispose();
    heap.collect();
    expect(counted()).toMatchObject({
      movedBytes: 36_000,
      movedCount: 9,
      promotedBytes: 12_000,
      promotedCount: 3,
      vacatedRegions: 3,
      youngEvacuations: 2,
      oldEvacuations: 1,
      fullCollections: 3,
    });
    expect(blocks[3]!.bytes()).toEqual(pattern(4000, 3));
    end(blocks);
  });

  test("tell of themselves with their time and bytes, and add their pauses up", () => {
    let clock = 0;
    const heard: CollectionEvent[] = [];
    const heap = open({
      now: () => (clock += 10),
      pauseMs: 1000,
      hooks: { onCollection: (event) => heard.push(event) },
    });
    const blocks = Array.from({ length: 6 }, (_, seed) => filled(heap, 4000, seed));
    expect(heap.safePoint()).toBe(false);
    heap.collect();
    expect(heard).toMatchObject([
      { region: "general", kind: "slice", movedBytes: 16_000 },
      { region: "general", kind: "full", movedBytes: 24_000 },
    ]);
    const durations = heard.map(({ durationMs }) => durationMs);
    expect(Math.min(...durations)).toBeGreaterThan(0);
    expect(heap.collectionStats().pauses).toEqual({
      count: 2,
      totalMs: durations[0]! + durations[1]!,
      longestMs: Math.max(...durations),
    });
    end(blocks);
  });

  test("a slice moves as many bytes as it may, and the next goes on", () => {
    const heap = open({ sliceBytes: 3000, pauseMs: 1e9 });
    // A full nursery, and one more: the first is retired, and a slice is moved by the allocation.
    const blocks = Array.from({ length: 17 }, (_, seed) => filled(heap, 1000, seed));
    const moved: number[] = [];
    for (let isMore = true; isMore;) {
      const before = heap.collectionStats().movedBytes;
      isMore = heap.safePoint();
      moved.push(heap.collectionStats().movedBytes - before);
    }
    expect(moved).toEqual([3000, 3000, 3000, 3000, 1000]);
    for (const [seed, block] of blocks.entries())
      expect(block.bytes()).toEqual(pattern(1000, seed));
    end(blocks);
  });

  test("a slice without time moves sixteen blocks, so that there is an end", () => {
    let clock = 0;
    const heap = open({ now: () => (clock += 100), pauseMs: 1 });
    const blocks = Array.from({ length: 165 }, (_, seed) => filled(heap, 100, seed));
    while (heap.collectionStats().movedCount === 0) heap.safePoint();
    expect(heap.collectionStats().movedCount).toBe(16);
    while (heap.safePoint());
    for (const [seed, block] of blocks.entries()) expect(block.bytes()).toEqual(pattern(100, seed));
    end(blocks);
  });

  test("a slice that has time moves all that there is, whatever the clock shows", () => {
    const heap = open({ now: () => 1000, pauseMs: 1, hooks: {} });
    const blocks = Array.from({ length: 165 }, (_, seed) => filled(heap, 100, seed));
    // The allocation that filled the nursery has done it.
    expect([heap.collectionStats().movedCount, heap.safePoint()]).toEqual([157, false]);
    end(blocks);
  });

  test("a slice tells the engine of 64 handles at a time, and moves nothing before all are told", () => {
    let [clock, told] = [0, 0];
    const heap = open({
      now: () => (clock += 100),
      pauseMs: 1,
      finalizers: () => ({ register: () => told++, unregister() {} }),
    });
    const blocks = Array.from({ length: 165 }, (_, seed) => filled(heap, 100, seed));
    const moved = (): number => heap.collectionStats().movedCount;
    expect([told, moved()]).toEqual([64, 0]);
    expect([heap.safePoint(), told, moved()]).toEqual([true, 128, 0]);
    expect([heap.safePoint(), told, moved()]).toEqual([true, 157, 16]);
    end(blocks);
  });

  test("a slice tells the engine of handles also where there is nothing to move", () => {
    let told = 0;
    const heap = open({
      youngRegions: 5,
      finalizers: () => ({ register: () => told++, unregister() {} }),
    });
    const blocks = Array.from({ length: 5 }, (_, seed) => filled(heap, 4000, seed));
    expect([told, heap.collectionStats().movedCount]).toEqual([4, 0]);
    end(blocks);
  });

  test("a nursery that nothing lives in is no work", () => {
    const heap = open();
    for (let count = 0; count < 50; count++) heap.alloc({ byteLength: 4000 }).dispose();
    expect(heap.collectionStats().pauses.count).toBe(0);
  });

  test("where survivors go stays open when all that went there ends", () => {
    const heap = open();
    const block = filled(heap, 4000, 1);
    heap.collect();
    const view = block.bytes();
    block.dispose();
    expect(heap.stats()).toMatchObject({ liveBytes: 0, deferredBytes: 4000 });
    expect(view).toHaveLength(4000);
    heap.collect();
    expect(heap.stats()).toMatchObject({ liveBytes: 0, deferredBytes: 0 });
  });

  test("with no room to move into, blocks are moved together where they are", () => {
    const heap = open({ budgetBytes: 3 * regionBytes, promotionAge: 2 });
    const [a, b] = [filled(heap, 3000, 1), filled(heap, 3000, 2)];
    heap.collect();
    // Keeps the region of both, so that the one in reserve goes to the other block.
    const pin = a.pin();
    const [c, gone, d] = [filled(heap, 2000, 3), filled(heap, 4000, 4), filled(heap, 2000, 5)];
    gone.dispose();
    const [pinned, ...views] = [a, b, c, d].map((block) => block.bytes());
    const before = heap.collectionStats();
    heap.collect();
    const after = heap.collectionStats();
    expect(after.movedBytes - before.movedBytes).toBe(7000);
    expect(after.movedCount - before.movedCount).toBe(3);
    expect(after.oldEvacuations - before.oldEvacuations).toBe(1);
    const blocks = [a, b, c, d];
    for (const [index, seed] of [1, 2, 3, 5].entries()) {
      expect(blocks[index]!.bytes()).toEqual(pattern(blocks[index]!.byteLength, seed));
    }
    expect(d.byteOffset).toBe(2000);
    expect(pinned).toHaveLength(3000);
    // The region of the pinned one is not vacated: what left it shows its former place.
    expect(views.map(({ length }) => length)).toEqual([3000, 0, 0]);
    const { liveBytes, paddingBytes, deferredBytes, freeBytes, reservedBytes } = heap.stats();
    expect(liveBytes).toBe(10_000);
    expect(liveBytes + paddingBytes + deferredBytes + freeBytes).toBe(reservedBytes);
    expect(reservedBytes).toBe(3 * regionBytes);
    end([...blocks, pin]);
    heap.collect();
    expect(heap.stats()).toMatchObject({ liveBytes: 0, deferredBytes: 0, paddingBytes: 0 });
  });
});

describe("memory", () => {
  test("of large blocks is kept by size, used again, and given back", () => {
    const heap = open({ cacheBytes: 100 * KiB });
    const large = heap.alloc({ byteLength: 40 * KiB });
    expect(heap.stats()).toMatchObject({ reservedBytes: 40 * KiB, liveBytes: 40 * KiB });
    large.dispose();
    expect(heap.stats()).toMatchObject({ reservedBytes: 40 * KiB, freeBytes: 40 * KiB });
    const again = heap.alloc({ byteLength: 40 * KiB });
    expect(heap.stats()).toMatchObject({ reservedBytes: 40 * KiB, freeBytes: 0 });
    const other = heap.alloc({ byteLength: 60 * KiB });
    const third = heap.alloc({ byteLength: 20 * KiB });
    end([again, other]);
    // The cache is full: what comes now goes.
    third.dispose();
    expect(heap.stats()).toMatchObject({ reservedBytes: 100 * KiB, freeBytes: 100 * KiB });
    heap.trim(60 * KiB);
    expect(heap.stats().reservedBytes).toBeLessThanOrEqual(60 * KiB);
    heap.trim();
    expect(heap.stats()).toMatchObject({ reservedBytes: 0, freeBytes: 0 });
  });

  test("of the table is counted", () => {
    const heap = open();
    expect(heap.stats().metadataBytes).toBe(0);
    const blocks = Array.from({ length: 1024 }, () => heap.alloc({ byteLength: 8 }));
    const { metadataBytes } = heap.stats();
    expect(metadataBytes).toBe(1024 * 43);
    blocks.push(heap.alloc({ byteLength: 8 }));
    expect(heap.stats().metadataBytes).toBe(2 * metadataBytes);
    end(blocks);
  });

  test("a request as large as the budget allows is served, and a byte more is not", () => {
    const heap = open({ budgetBytes: 4 * regionBytes });
    const most = heap.alloc({ byteLength: 3 * regionBytes });
    most.dispose();
    expect(caught(() => heap.alloc({ byteLength: 3 * regionBytes + 1 }))).toMatchObject({
      code: "OUT_OF_MEMORY",
      // Rounded up to its class.
      requestedBytes: 52 * KiB,
    });
  });
});

describe("pressure", () => {
  test("levels fall again, a listener can be taken away, and one that allocates is not told again", () => {
    const heap = open({
      budgetBytes: 10 * regionBytes,
      watermarks: { high: 0.5, critical: 0.8 },
    });
    const heard: string[] = [];
    const inner: GeneralBlock[] = [];
    const endListening = heap.onPressure(({ level }) => {
      heard.push(level);
      inner.push(heap.alloc({ byteLength: 8 }));
    });
    const take = (): GeneralBlock => heap.alloc({ byteLength: regionBytes });
    const blocks = Array.from({ length: 4 }, take);
    expect(heap.collectionStats().pressure).toBe("normal");
    blocks.push(take());
    expect(heard).toEqual(["high"]);
    blocks.push(take(), take());
    expect(heard).toEqual(["high"]);
    expect(heap.collectionStats().pressure).toBe("high");
    blocks.push(take());
    expect(heard).toEqual(["high", "critical"]);
    end(blocks.splice(2));
    heap.collect();
    expect(heap.collectionStats().pressure).toBe("normal");
    endListening();
    blocks.push(take(), take(), take());
    expect(heard).toEqual(["high", "critical"]);
    end([...blocks, ...inner]);
  });

  test("what is in use is what was asked for, and what its size class takes beside it", () => {
    const heard: number[] = [];
    const heap = open({
      budgetBytes: 4 * regionBytes,
      watermarks: { high: 20 / 64, critical: 1 },
      hooks: { onPressure: ({ usedBytes }) => heard.push(usedBytes) },
    });
    const block = heap.alloc({ byteLength: regionBytes + 1 });
    expect(heard).toEqual([20 * KiB]);
    block.dispose();
  });

  test("a listener that passes the next watermark is not told inside itself", () => {
    const heap = open({
      budgetBytes: 10 * regionBytes,
      watermarks: { high: 0.5, critical: 0.8 },
    });
    const heard: string[] = [];
    const blocks: GeneralBlock[] = [];
    heap.onPressure(({ level }) => {
      heard.push(`${level} begins`);
      blocks.push(heap.alloc({ byteLength: 4 * regionBytes }));
      heard.push(`${level} ends`);
    });
    blocks.push(heap.alloc({ byteLength: 5 * regionBytes }));
    expect(heard).toEqual(["high begins", "high ends"]);
    end(blocks);
  });

  test("a watermark is reached by the byte that is equal to it", () => {
    const gauge = new PressureGauge("test", 1000, { high: 0.5, critical: 0.75, onIgnored() {} });
    const levels = [499, 500, 749, 750].map((bytes) => {
      gauge.update(() => bytes);
      return gauge.level;
    });
    expect(levels).toEqual(["normal", "high", "high", "critical"]);
  });

  test("a level that is only high may be ignored without a warning", () => {
    const warnings: string[] = [];
    const gauge = new PressureGauge("test", 1000, {
      high: 0.5,
      critical: 0.75,
      onIgnored: (text) => warnings.push(text),
    });
    for (let round = 0; round < 5; round++)
      for (const bytes of [100, 600]) gauge.update(() => bytes);
    expect(warnings).toEqual([]);
  });

  test("the third critical event that frees nothing is the one that warns", () => {
    const warnings: string[] = [];
    const heap = open({
      budgetBytes: 4 * regionBytes,
      onIgnoredPressure: (text) => warnings.push(text),
      watermarks: { high: 1, critical: 1 },
    });
    const kept = Array.from({ length: 3 }, () => heap.alloc({ byteLength: regionBytes }));
    const refuse = (): string => codeOf(() => heap.alloc({ byteLength: regionBytes }));
    expect([refuse(), refuse(), warnings.length]).toEqual(["OUT_OF_MEMORY", "OUT_OF_MEMORY", 0]);
    const stop = heap.onPressure(() => kept.pop()?.dispose());
    heap.alloc({ byteLength: regionBytes }).dispose();
    stop();
    kept.push(heap.alloc({ byteLength: regionBytes }));
    // Somebody has freed: it is counted from the start.
    expect([refuse(), refuse(), warnings.length]).toEqual(["OUT_OF_MEMORY", "OUT_OF_MEMORY", 0]);
    expect([refuse(), warnings.length]).toEqual(["OUT_OF_MEMORY", 1]);
    expect([refuse(), warnings.length]).toEqual(["OUT_OF_MEMORY", 1]);
    end(kept);
  });
});

describe("settings", () => {
  test.each([
    { regionBytes: 16 * KiB },
    { regionBytes: GiB, budgetBytes: 2 * GiB },
    { budgetBytes: 2 * regionBytes },
    { largeBytes: regionBytes },
    { largeBytes: 1 },
    { promotionAge: 1 },
    { youngRegions: 0 },
    { evacuateBelow: 1 },
    { growth: 0 },
    { cacheBytes: 0 },
    { watermarks: { high: 1, critical: 1 } },
  ])("%j is at the edge of what can be", (options) => {
    expect(() => open(options)).not.toThrow();
  });

  test.each([
    [{ regionBytes: 8 * KiB }, "regionBytes"],
    [{ regionBytes: 2 * GiB, budgetBytes: 8 * GiB }, "regionBytes"],
    [{ largeBytes: 0 }, "largeBytes"],
    [{ largeBytes: regionBytes + 1 }, "largeBytes"],
    [{ youngRegions: -1 }, "youngRegions"],
    [{ evacuateBelow: 0 }, "evacuateBelow"],
    [{ sliceBytes: 0 }, "sliceBytes"],
    [{ growth: -1 }, "growth"],
    [{ cacheBytes: -1 }, "cacheBytes"],
    [{ watermarks: { high: 0, critical: 0.5 } }, "watermarks.high"],
    [{ watermarks: { high: 0.5, critical: 1.5 } }, "watermarks.critical"],
  ] as const)("%j is refused by name", (options, name) => {
    const error = caught(() => open(options));
    expect(error.code).toBe("INVALID_ARGUMENT");
    expect(error.message).toContain(name);
  });
});
