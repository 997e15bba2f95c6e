/** Which region is emptied, how far, and what happens where there is no room. */

import { describe, expect, test } from "vitest";

import { closeRegion } from "../../src/host/general/evacuator.ts";
import type { EvacuatorOptions } from "../../src/host/general/evacuator.ts";
import type { HeapRegion, RegionRole } from "../../src/host/general/heap-region.ts";
import { always, check, end, filled, KiB, never, open, put, R, regionOf } from "./general-parts.ts";
import type { Parts } from "./general-parts.ts";
import { pattern } from "./subject.ts";

describe("choosing what to empty", () => {
  const tenth = [1600];
  const roleWith = (
    role: RegionRole,
    sizes: readonly number[],
    isFull: boolean,
    options: Partial<EvacuatorOptions> = {},
    isClosed = true,
  ): boolean => {
    const parts = open(options);
    if (isFull) parts.regions.take("nursery", "before");
    filled(parts, role, sizes, isClosed);
    if (isFull) parts.evacuator.startFull();
    return parts.evacuator.hasWork(isFull);
  };

  test.each([
    ["a young one", "young", tenth, false, {}, true, true],
    [
      "a young one that is spared, and sparse",
      "young",
      tenth,
      false,
      { youngRegions: 5 },
      false,
      true,
    ],
    ["a young one that is spared", "young", [9000], false, { youngRegions: 1 }, true, false],
    ["a sparse old one", "old", tenth, false, {}, true, true],
    ["an old one that nothing is dead in", "old", tenth, false, {}, false, false],
    ["an old one that nothing is dead in, in a full one", "old", tenth, true, {}, false, false],
    ["an old one at the limit", "old", [R / 2], false, {}, true, false],
    ["an old one below the limit", "old", [R / 2 - 8], false, {}, true, true],
    ["an old one at the limit, in a full one", "old", [R / 2], true, {}, true, true],
    ["one of pinned blocks", "pinned", tenth, true, {}, true, false],
    ["one that nothing lives in", "young", [], true, {}, true, false],
    ["a large one", "large", tenth, true, {}, true, false],
  ] as const)("%s", (_, role, sizes, isFull, options, isClosed, expected) => {
    expect(roleWith(role, sizes, isFull, options, isClosed)).toBe(expected);
  });

  test("a full one leaves alone what came after its start", () => {
    const parts = open();
    parts.evacuator.startFull();
    filled(parts, "young", tenth);
    expect(parts.evacuator.hasWork(true)).toBe(false);
    parts.evacuator.startFull();
    expect(parts.evacuator.hasWork(true)).toBe(true);
  });

  test("pins keep what lies beside them where nothing would be gained", () => {
    for (const role of ["young", "old"] as const) {
      const parts = open({ youngRegions: 5 });
      const [a] = filled(parts, role, [1000, 1000]);
      parts.pinned.pin(a!);
      expect(parts.evacuator.hasWork(false), role).toBe(false);
      parts.evacuator.startFull();
      expect(parts.evacuator.hasWork(true), role).toBe(role === "young");
      const [b] = filled(parts, role, [1000]);
      parts.pinned.pin(b!);
      parts.pinned.unpin(a!);
      // What is pinned altogether is never looked at.
      expect(parts.evacuator.hasWork(false), role).toBe(true);
      parts.evacuator.slice(Infinity, never, true);
      expect(regionOf(parts, b!).role, role).toBe(role);
      parts.evacuator.startFull();
      parts.pinned.pin(a!);
      parts.evacuator.slice(Infinity, never, true);
      expect(regionOf(parts, b!).role, role).toBe(role);
    }
  });

  test("the emptiest old one goes first, of equals the one that was there first", () => {
    const parts = open();
    const [a] = filled(parts, "old", [4000]);
    const [b] = filled(parts, "old", [2000]);
    const [c] = filled(parts, "old", [2000]);
    const homes = [a, b, c].map((index) => regionOf(parts, index!));
    expect(parts.evacuator.slice(1, never, false)).toBe(true);
    expect([a, b, c].map((index, at) => regionOf(parts, index!) === homes[at])).toEqual([
      true,
      false,
      true,
    ]);
    check(parts, [a!, b!, c!]);
  });

  test("the oldest young one goes first, whatever its number", () => {
    const parts = open({ youngRegions: 1 });
    const first = parts.regions.take("young", "test");
    const [old] = filled(parts, "young", [9000]);
    parts.regions.recycle(first);
    const again = parts.regions.take("young", "test", true);
    const late = put(parts, again, 9000);
    closeRegion(again, parts.ledger);
    expect(again === first).toBe(true);
    parts.evacuator.slice(1, never, false);
    expect(regionOf(parts, late) === first).toBe(true);
    expect(parts.table.age[old!]).toBe(1);
  });
});

describe("a slice", () => {
  test("moves no more than it may, and says whether there is more", () => {
    const parts = open();
    const [a] = filled(parts, "young", [1000]);
    const [b] = filled(parts, "young", [1000]);
    expect(parts.evacuator.slice(1000, never, false)).toBe(true);
    expect(parts.evacuator.counts).toMatchObject({ movedCount: 1, youngEvacuations: 1 });
    expect(parts.evacuator.slice(1000, never, false)).toBe(false);
    expect(parts.evacuator.counts).toMatchObject({ movedCount: 2, vacatedRegions: 2 });
    check(parts, [a!, b!]);
  });

  test("looks at the clock only once it has moved something", () => {
    const parts = open();
    const blocks = filled(
      parts,
      "young",
      Array.from({ length: 40 }, () => 100),
    );
    end(parts, blocks.shift()!);
    expect(parts.evacuator.slice(Infinity, always, false)).toBe(true);
    expect(parts.evacuator.counts.movedCount).toBe(16);
    check(parts, blocks);
  });

  test("moves each of however many blocks a region has", () => {
    const parts = open();
    const sizes = Array.from({ length: 200 }, () => 64);
    const blocks = filled(parts, "young", sizes);
    parts.evacuator.slice(Infinity, never, false);
    expect(parts.evacuator.counts).toMatchObject({ movedCount: 200, vacatedRegions: 1 });
    check(parts, blocks);
  });

  test("goes on with what it began, also where nothing else would be chosen", () => {
    const parts = open({ youngRegions: 1 });
    // What is left of it is too much to be worth a choice of its own.
    const a = filled(parts, "young", [1000, 9000]);
    const [b] = filled(parts, "young", [9000]);
    expect(parts.evacuator.slice(1, never, false)).toBe(true);
    const gone = regionOf(parts, b!);
    end(parts, b!);
    parts.evacuator.forget(gone);
    parts.regions.recycle(gone);
    expect(parts.evacuator.hasWork(false)).toBe(true);
    parts.evacuator.slice(1, never, false);
    expect(parts.evacuator.counts.movedCount).toBe(2);
    check(parts, a);
  });

  test("forgets a region that ended meanwhile, as source and as target", () => {
    const parts = open({ promotionAge: 1 });
    const [a, b] = filled(parts, "young", [1000, 1000]);
    parts.evacuator.slice(1, never, false);
    const [source, target] = [regionOf(parts, b!), regionOf(parts, a!)];
    expect([parts.evacuator.isOpen(source), parts.evacuator.isOpen(target)]).toEqual([false, true]);
    end(parts, b!);
    parts.evacuator.forget(source);
    parts.regions.recycle(source);
    const nursery = parts.regions.take("nursery", "test", true);
    for (let count = 0; count < 4; count++) put(parts, nursery, 500);
    expect(nursery === source).toBe(true);
    expect(parts.evacuator.slice(Infinity, never, false)).toBe(false);
    expect(parts.evacuator.counts.movedCount).toBe(1);
    expect(parts.evacuator.isOpen(target)).toBe(true);
    end(parts, a!);
    parts.evacuator.forget(target);
    expect(parts.evacuator.isOpen(target)).toBe(false);
  });

  test("forgets where survivors went", () => {
    const parts = open();
    const [a] = filled(parts, "young", [1000]);
    parts.evacuator.slice(Infinity, never, false);
    const survivors = regionOf(parts, a!);
    expect([survivors.role, survivors.handles, parts.evacuator.isOpen(survivors)]).toEqual([
      "young",
      null,
      true,
    ]);
    expect([parts.table.age[a!], parts.evacuator.counts.promotedCount]).toEqual([1, 0]);
    end(parts, a!);
    parts.evacuator.forget(survivors);
    expect(parts.evacuator.isOpen(survivors)).toBe(false);
    parts.regions.recycle(survivors);
    const [b] = filled(parts, "young", [1000]);
    parts.evacuator.slice(Infinity, never, false);
    check(parts, [b!]);
  });

  test("a full region of survivors is closed, and the next begins", () => {
    const parts = open();
    const blocks = [9000, 9000, 9000].flatMap((size) => filled(parts, "young", [size]));
    const [first] = blocks;
    parts.evacuator.slice(9000, never, false);
    const survivors = regionOf(parts, first!);
    expect(survivors.used).toBe(9000);
    parts.evacuator.slice(9000, never, false);
    expect([survivors.used, parts.evacuator.isOpen(survivors)]).toEqual([R, false]);
    check(parts, blocks);
  });

  test("old blocks stay old, and young ones are promoted in time", () => {
    const parts = open({ promotionAge: 1 });
    const [a] = filled(parts, "young", [1000]);
    const [b] = filled(parts, "old", [1000]);
    parts.evacuator.slice(Infinity, never, false);
    expect([regionOf(parts, a!).role, regionOf(parts, b!).role]).toEqual(["old", "old"]);
    expect(parts.evacuator.counts).toMatchObject({
      promotedBytes: 1000,
      promotedCount: 1,
      movedCount: 2,
      oldEvacuations: 1,
      youngEvacuations: 1,
    });
    const late = open({ promotionAge: 3 });
    const [c] = filled(late, "old", [1000]);
    late.evacuator.slice(Infinity, never, false);
    expect(regionOf(late, c!).role).toBe("old");
    expect(late.evacuator.counts.promotedCount).toBe(0);
  });

  test.each([
    [9, 13, 10, 11],
    [9, 13, 13, 11],
  ])(
    "of five destinations the fullest, of equals the first, is closed: %i, %i, %i, %i",
    (...kib) => {
      const parts = open({ promotionAge: 1 });
      const sizes = kib.map((size) => size * KiB);
      const blocks = sizes.flatMap((size) => filled(parts, "young", [size]));
      parts.evacuator.slice(Infinity, never, false);
      const homes = blocks.map((index) => regionOf(parts, index));
      expect(homes.map((region) => parts.evacuator.isOpen(region))).toEqual([
        true,
        true,
        true,
        true,
      ]);
      const [last] = filled(parts, "young", [12 * KiB]);
      parts.evacuator.slice(Infinity, never, false);
      homes.push(regionOf(parts, last!));
      expect(homes.map((region) => parts.evacuator.isOpen(region))).toEqual([
        true,
        false,
        true,
        true,
        true,
      ]);
      expect(homes.map(({ used }) => used)).toEqual([sizes[0], R, sizes[2], sizes[3], 12 * KiB]);
      check(parts, [...blocks, last!]);
    },
  );

  test("alignment holds where blocks go, and costs no more than it must", () => {
    const parts = open();
    const region = parts.regions.take("young", "test");
    const blocks = [
      put(parts, region, 64, 64),
      put(parts, region, 8),
      put(parts, region, 64, 64),
      put(parts, region, 128, 128),
    ];
    expect(parts.ledger.padding).toBe(56 + 64);
    closeRegion(region, parts.ledger);
    end(parts, blocks.splice(1, 1)[0]!);
    parts.evacuator.slice(Infinity, never, false);
    expect(blocks.map((index) => parts.table.offset[index])).toEqual([0, 64, 128]);
    expect(parts.ledger.padding).toBe(0);
    check(parts, blocks);
  });
});

describe("without room", () => {
  /** Two regions and no more; the first has blocks and holes. */
  function cramped(): { parts: Parts; blocks: number[]; source: HeapRegion } {
    const parts = open({ budgetBytes: 2 * R });
    const region = parts.regions.take("young", "test", true);
    const blocks = [
      put(parts, region, 3000),
      put(parts, region, 2000),
      put(parts, region, 512, 256),
      put(parts, region, 1000),
    ];
    closeRegion(region, parts.ledger);
    end(parts, blocks.splice(1, 1)[0]!);
    const other = parts.regions.take("large", "test", true);
    other.used = other.size;
    other.liveBytes = other.size;
    return { parts, blocks, source: region };
  }

  test("a slice leaves what it cannot move where it is, and old", () => {
    const { parts, blocks, source } = cramped();
    const offsets = blocks.map((index) => parts.table.offset[index]);
    expect(parts.evacuator.slice(Infinity, never, false)).toBe(false);
    expect(blocks.map((index) => parts.table.offset[index])).toEqual(offsets);
    expect([source.role, source.cursor, source.entryCount]).toEqual(["old", 0, 3]);
    expect(parts.evacuator.counts.movedCount).toBe(0);
  });

  test("a full collection slides blocks together, at their alignment", () => {
    const { parts, blocks, source } = cramped();
    const { buffer } = source.bytes;
    parts.evacuator.startFull();
    parts.evacuator.slice(Infinity, never, true);
    expect(blocks.map((index) => parts.table.offset[index])).toEqual([0, 3072, 3584]);
    expect([source.used, source.deadBytes, source.entryCount]).toEqual([4584, 0, 3]);
    expect(parts.ledger.padding).toBe(72);
    expect(parts.ledger.deferred).toBe(0);
    expect(buffer.byteLength).toBe(0);
    expect(parts.evacuator.counts).toMatchObject({ movedCount: 3, movedBytes: 4512 });
    expect(parts.evacuator.isOpen(source)).toBe(true);
    for (const index of blocks) {
      const [offset, byteLength] = [parts.table.offset[index]!, parts.table.byteLength[index]!];
      expect(source.bytes.subarray(offset, offset + byteLength)).toEqual(
        pattern(byteLength, index),
      );
    }
  });

  test("an entry that was taken again is slid once, and in its new place", () => {
    const parts = open({ budgetBytes: 2 * R });
    const region = parts.regions.take("young", "test", true);
    const blocks = [put(parts, region, 100), put(parts, region, 200)];
    end(parts, blocks[0]!);
    blocks[0] = put(parts, region, 304);
    expect(parts.table.offset[blocks[0]]).toBeGreaterThan(parts.table.offset[blocks[1]!]!);
    closeRegion(region, parts.ledger);
    const other = parts.regions.take("large", "test", true);
    other.used = other.size;
    other.liveBytes = other.size;
    parts.evacuator.startFull();
    parts.evacuator.slice(Infinity, never, true);
    expect(blocks.map((index) => parts.table.offset[index])).toEqual([200, 0]);
    for (const index of blocks) {
      const [offset, byteLength] = [parts.table.offset[index]!, parts.table.byteLength[index]!];
      expect(region.bytes.subarray(offset, offset + byteLength)).toEqual(
        pattern(byteLength, index),
      );
    }
  });

  test("a region with a pin is not slid", () => {
    const { parts, blocks, source } = cramped();
    const offsets = blocks.map((index) => parts.table.offset[index]);
    parts.pinned.pin(blocks[1]!);
    const { bytes } = source;
    parts.evacuator.startFull();
    expect(parts.evacuator.slice(Infinity, never, true)).toBe(false);
    expect(blocks.map((index) => parts.table.offset[index])).toEqual(offsets);
    expect([source.role, source.bytes === bytes, source.serial]).toEqual(["old", true, 2]);
  });

  test("an error that is not about memory is told", () => {
    const parts = open({
      growth: () => {
        throw new TypeError("a policy of its own");
      },
    });
    const region = open().regions.take("young", "test");
    expect(() => parts.regions.take("young", "test")).toThrow(TypeError);
    expect(parts.ledger.reserved).toBe(0);
    let isBroken = false;
    const later = open({
      growth: () => {
        if (isBroken) throw new TypeError("a policy of its own");
        return 0;
      },
    });
    const [a] = filled(later, "young", [100]);
    isBroken = true;
    expect(() => later.evacuator.slice(Infinity, never, false)).toThrow(TypeError);
    check(later, [a!]);
    expect(region.size).toBe(R);
  });
});
