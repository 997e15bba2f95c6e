/** The memory of a general heap: what is kept, handed out again, and given back. */

import { describe, expect, onTestFinished, test, vi } from "vitest";

import { fits } from "../../src/host/general/evacuator.ts";
import { caught } from "../support/caught.ts";
import { end, filled, open, R, regionOf } from "./general-parts.ts";

describe("the set of regions", () => {
  test("keeps empty ones up to its cache, and hands them out again", () => {
    const { regions, ledger } = open({ budgetBytes: 8 * R, cacheBytes: 3 * R });
    const taken = Array.from({ length: 5 }, () => regions.take("young", "test"));
    expect(taken.map(({ serial }) => serial)).toEqual([0, 1, 2, 3, 4]);
    expect(taken.map(({ handles }) => handles)).toEqual([[], [], [], [], []]);
    expect([regions.nextSerial, regions.availableBytes]).toEqual([5, 2 * R]);
    for (const region of taken) regions.recycle(region);
    expect([ledger.reserved, regions.availableBytes]).toEqual([3 * R, 7 * R]);
    expect([...regions.inUse()]).toEqual([]);
    const again = regions.take("nursery", "test");
    expect(taken.includes(again)).toBe(true);
    expect([again.role, again.serial, ledger.reserved]).toEqual(["nursery", 5, 3 * R]);
    expect(regions.availableBytes).toBe(6 * R);
    expect([...regions.inUse()].map(({ serial }) => serial)).toEqual([5]);
    regions.trim(R);
    expect([ledger.reserved, regions.availableBytes]).toEqual([2 * R, 6 * R]);
    regions.trim(R);
    expect(ledger.reserved).toBe(2 * R);
    regions.trim(0);
    expect(ledger.reserved).toBe(R);
    // Less than nothing is nothing.
    regions.trim(-1);
    expect(ledger.reserved).toBe(R);
  });

  test("keeps what was large by its size", () => {
    const { regions, ledger } = open({ budgetBytes: 16 * R, cacheBytes: 6 * R });
    const [two, three] = [2 * R, 3 * R].map((bytes) => regions.takeLarge(bytes, "test"));
    expect([two!.serial, three!.serial, regions.nextSerial]).toEqual([0, 1, 2]);
    expect([two!.role, two!.handles, two!.size]).toEqual(["large", null, 2 * R]);
    regions.recycle(two!);
    regions.recycle(three!);
    expect([ledger.reserved, regions.availableBytes]).toEqual([5 * R, 15 * R]);
    expect(regions.takeLarge(2 * R - 100, "test") === two).toBe(true);
    expect([ledger.reserved, regions.availableBytes]).toEqual([5 * R, 13 * R]);
    regions.recycle(two!);
    const other = regions.takeLarge(2 * R, "test");
    const more = regions.takeLarge(2 * R, "test");
    expect([other === two, more === two, ledger.reserved]).toEqual([true, false, 7 * R]);
    // The cache has room for three regions beside the three it keeps.
    regions.recycle(other);
    regions.recycle(more);
    expect(ledger.reserved).toBe(5 * R);
    regions.trim(4 * R);
    expect(ledger.reserved).toBe(3 * R);
    regions.trim(0);
    expect([ledger.reserved, regions.availableBytes]).toEqual([0, 15 * R]);
  });

  test("keeps what was large up to the byte that it is told", () => {
    const { regions, ledger } = open({ budgetBytes: 16 * R });
    const large = [2 * R, 3 * R].map((bytes) => regions.takeLarge(bytes, "test"));
    for (const region of large) regions.recycle(region);
    regions.trim(5 * R);
    expect(ledger.reserved).toBe(5 * R);
    regions.trim(3 * R);
    expect(ledger.reserved).toBe(3 * R);
  });

  test("makes a new one where the only empty one is left to evacuation", () => {
    const { regions, ledger } = open({ budgetBytes: 4 * R });
    const [, b] = [regions.take("young", "test"), regions.take("young", "test")];
    regions.recycle(b);
    const c = regions.take("young", "test");
    expect([c === b, ledger.reserved]).toEqual([false, 3 * R]);
    expect(regions.take("old", "test", true) === b).toBe(true);
  });

  test("gives back no more than what is in the way", () => {
    const { regions, ledger } = open({ budgetBytes: 8 * R });
    const large = [2 * R, 3 * R].map((bytes) => regions.takeLarge(bytes, "test"));
    for (const region of large) regions.recycle(region);
    for (let count = 0; count < 2; count++) regions.take("young", "test");
    expect(ledger.reserved).toBe(7 * R);
    // One more and the one in reserve: the two regions' worth go, and no more.
    regions.take("young", "test");
    expect(ledger.reserved).toBe(6 * R);
    const last = regions.take("young", "test");
    expect(ledger.reserved).toBe(7 * R);
    regions.recycle(last);
    expect(regions.availableBytes).toBe(8 * R - 3 * R - R);
  });

  test("leaves the last region to evacuation", () => {
    const { regions } = open({ budgetBytes: 3 * R });
    const [a] = [regions.take("young", "test"), regions.take("young", "test")];
    expect(caught(() => regions.take("young", "more"))).toMatchObject({
      code: "OUT_OF_MEMORY",
      label: "more",
      requestedBytes: R,
      availableBytes: 0,
    });
    regions.take("old", "test", true);
    expect(caught(() => regions.take("old", "more", true)).code).toBe("OUT_OF_MEMORY");
    regions.recycle(a);
    expect(caught(() => regions.take("young", "more")).code).toBe("OUT_OF_MEMORY");
    expect(regions.take("old", "test", true).role).toBe("old");
  });

  test("what no buffer can have is refused with its size and its cause", () => {
    const error = caught(() => open().regions.takeLarge(2 ** 53 - 1, "huge"));
    expect(error).toMatchObject({
      code: "OUT_OF_MEMORY",
      label: "huge",
      requestedBytes: 2 ** 53 - 1,
      availableBytes: 0,
    });
    expect(error.cause).toBeInstanceOf(Error);
  });

  test("grows ahead within its cache, and leaves room for one more", () => {
    const { regions, ledger } = open({ budgetBytes: 8 * R, cacheBytes: 3 * R, growth: 10 });
    regions.take("young", "test");
    expect([ledger.reserved, regions.availableBytes]).toEqual([4 * R, 6 * R]);
    const { regions: tight, ledger: few } = open({ budgetBytes: 4 * R, growth: 10 });
    tight.take("young", "test");
    expect([few.reserved, tight.availableBytes]).toEqual([3 * R, 2 * R]);
    const { regions: roomy, ledger: many } = open({ cacheBytes: 3 * R, growth: 10 });
    for (let count = 0; count < 3; count++) roomy.take("young", "test");
    expect(many.reserved).toBe(4 * R);
    // The one that is empty already takes of the cache's room: two more are made ahead.
    roomy.take("young", "test");
    expect(many.reserved).toBe(7 * R);
  });

  test("does without growth where the engine refuses the memory for it", () => {
    const { regions, ledger } = open({ growth: () => 3 * R });
    const Real = ArrayBuffer;
    let left = 2;
    vi.stubGlobal(
      "ArrayBuffer",
      class extends Real {
        constructor(byteLength: number) {
          if (left-- === 0) throw new RangeError("no memory");
          super(byteLength);
        }
      },
    );
    onTestFinished(() => void vi.unstubAllGlobals());
    const region = regions.take("young", "test");
    vi.unstubAllGlobals();
    expect([region.size, ledger.reserved, regions.availableBytes]).toEqual([R, 2 * R, 30 * R]);
  });

  test("a recycled region owes nothing, and is as new", () => {
    const parts = open();
    const [a] = filled(parts, "young", [100]);
    const region = regionOf(parts, a!);
    const view = region.bytes;
    expect(parts.ledger.deferred).toBe(R - 100);
    end(parts, a!);
    parts.regions.recycle(region);
    expect(parts.ledger.deferred).toBe(0);
    expect(view).toHaveLength(0);
    const { id: _, memory: __, bytes: ___, entries: ____, ...state } = region;
    expect(state).toEqual({
      role: "free",
      used: 0,
      liveBytes: 0,
      pinnedBytes: 0,
      deadBytes: 0,
      entryCount: 0,
      cursor: 0,
      serial: 0,
      handles: [],
    });
  });
});

describe("what fits behind a region's blocks", () => {
  test.each([
    [0, R, 8, true],
    [0, R + 1, 8, false],
    [1, R - 8, 8, true],
    [1, R - 7, 8, false],
    [64, R - 64, 64, true],
    [65, R - 128, 64, true],
    [65, R - 127, 64, false],
  ])("used %i, %i bytes at %i: %s", (used, byteLength, alignment, expected) => {
    const region = open().regions.take("old", "test");
    region.used = used;
    expect(fits(region, byteLength, alignment)).toBe(expected);
  });
});

test("the table of handles takes ended entries again, and does not grow for them", () => {
  const { table } = open();
  const first = table.take("block");
  for (let round = 0; round < 5000; round++) {
    const index = table.take("block");
    expect(index).toBe(first + 1);
    table.release(index);
  }
  expect(table.capacity).toBe(1024);
  // Whether it was used before or not, an entry that is free is in no region.
  expect([table.region[first + 1], table.region[1023]]).toEqual([-1, -1]);
});
