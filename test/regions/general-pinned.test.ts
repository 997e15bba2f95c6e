/** Blocks of a general heap that may not move, and where those go that may not for long. */

import { describe, expect, test } from "vitest";

import { closeRegion } from "../../src/host/general/evacuator.ts";
import { check, end, filled, never, open, put, R, regionOf } from "./general-parts.ts";

describe("pinned blocks", () => {
  test("are counted once, with what their alignment takes", () => {
    const parts = open();
    const region = parts.regions.take("young", "test");
    const blocks = [put(parts, region, 8), put(parts, region, 64, 64)];
    parts.pinned.pin(blocks[1]!);
    parts.pinned.pin(blocks[1]!);
    expect(region.pinnedBytes).toBe(64 + 56);
    check(parts, blocks);
    parts.pinned.unpin(blocks[1]!);
    expect(region.pinnedBytes).toBe(64 + 56);
    parts.pinned.unpin(blocks[1]!);
    expect([region.pinnedBytes, region.role]).toEqual([0, "young"]);
    check(parts, blocks);
  });

  test("for long move together; a region of them that is full and unpinned is old", () => {
    const parts = open();
    const blocks = [7000, 7000, 7000].flatMap((size) => filled(parts, "young", [size]));
    for (const index of blocks) {
      parts.pinned.moveIn(index);
      parts.pinned.pin(index);
    }
    const [a, b, c] = blocks.map((index) => regionOf(parts, index));
    expect([a === b, b === c, a!.role, c!.role, c!.handles]).toEqual([
      true,
      false,
      "pinned",
      "pinned",
      null,
    ]);
    expect([a!.used, c!.used, parts.pinned.region === c]).toEqual([R, 7000, true]);
    expect(parts.evacuator.counts).toMatchObject({ vacatedRegions: 3, movedCount: 3 });
    check(parts, blocks);
    parts.pinned.unpin(blocks[0]!);
    expect(a!.role).toBe("pinned");
    parts.pinned.unpin(blocks[1]!);
    expect(a!.role).toBe("old");
    parts.pinned.unpin(blocks[2]!);
    expect(c!.role).toBe("pinned");
    parts.pinned.close();
    expect([c!.role, parts.pinned.region]).toEqual(["old", null]);
    check(parts, blocks);
  });

  test("stay where they are when they are pinned, large, or among pinned ones", () => {
    const parts = open();
    const [a, b] = filled(parts, "young", [100, 100]);
    parts.pinned.pin(a!);
    parts.pinned.moveIn(a!);
    expect(regionOf(parts, a!).role).toBe("young");
    const large = parts.regions.takeLarge(2 * R, "test");
    const c = put(parts, large, 2 * R);
    parts.pinned.moveIn(c);
    expect(regionOf(parts, c) === large).toBe(true);
    parts.pinned.moveIn(b!);
    const offset = parts.table.offset[b!];
    parts.pinned.moveIn(b!);
    expect([parts.table.offset[b!], regionOf(parts, b!).used]).toEqual([offset, 100]);
    expect(parts.evacuator.counts).toMatchObject({ movedCount: 1, vacatedRegions: 0 });
    check(parts, [a!, b!, c]);
  });

  test("leave a nursery and an open region alone, and take an empty one's memory back", () => {
    const parts = open();
    const [a] = filled(parts, "nursery", [100], false);
    const nursery = regionOf(parts, a!);
    parts.pinned.moveIn(a!);
    expect([nursery.role, nursery.liveBytes, nursery.deadBytes]).toEqual(["nursery", 0, 100]);
    const [b] = filled(parts, "young", [100]);
    parts.evacuator.slice(Infinity, never, false);
    const open_ = regionOf(parts, b!);
    parts.pinned.moveIn(b!);
    expect([open_.role, open_.liveBytes]).toEqual(["young", 0]);
    const region = parts.regions.take("young", "test");
    const padded = [put(parts, region, 8), put(parts, region, 64, 64)];
    closeRegion(region, parts.ledger);
    parts.pinned.moveIn(padded[1]!);
    expect([region.liveBytes, region.role]).toEqual([8, "young"]);
    check(parts, [a!, b!, ...padded]);
    parts.pinned.moveIn(padded[0]!);
    expect(region.role).toBe("free");
  });

  test("an empty region of them is free at its close, and one with pins stays theirs", () => {
    const parts = open();
    const [a] = filled(parts, "young", [100]);
    parts.pinned.moveIn(a!);
    const region = parts.pinned.region!;
    end(parts, a!);
    parts.pinned.close();
    expect([region.role, parts.ledger.deferred]).toEqual(["free", 0]);
    const [b] = filled(parts, "young", [100]);
    parts.pinned.moveIn(b!);
    parts.pinned.pin(b!);
    const kept = parts.pinned.region!;
    parts.pinned.close();
    expect([kept.role, kept.used]).toEqual(["pinned", R]);
    check(parts, [b!]);
    parts.pinned.close();
    parts.pinned.unpin(b!);
    expect(kept.role).toBe("old");
  });
});
