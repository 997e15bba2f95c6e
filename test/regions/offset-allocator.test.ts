import * as fc from "fast-check";
import { afterEach, expect, test, vi } from "vitest";

import { OffsetAllocator } from "../../src/device/memory/offset-allocator.ts";

afterEach(() => {
  vi.unstubAllGlobals();
});

/** Repeatable pseudo-random numbers below `limit` (mulberry32). */
function random(seed: number): (limit: number) => number {
  let state = seed;
  return (limit) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 2 ** 32) * limit);
  };
}

/** What is live, in the plainest form: a list sorted by offset. */
class Model {
  readonly capacity: number;
  readonly live: { readonly node: number; readonly offset: number; readonly units: number }[] = [];

  constructor(capacity: number) {
    this.capacity = capacity;
  }

  /** Sizes of the gaps between live blocks. */
  gaps(): number[] {
    const gaps: number[] = [];
    let end = 0;
    for (const { offset, units } of this.live) {
      if (offset > end) gaps.push(offset - end);
      end = offset + units;
    }
    if (this.capacity > end) gaps.push(this.capacity - end);
    return gaps;
  }

  add(node: number, offset: number, units: number): void {
    const place = this.live.findIndex((other) => other.offset >= offset);
    const index = place === -1 ? this.live.length : place;
    const before = this.live[index - 1];
    const after = this.live[index];
    expect(before === undefined ? 0 : before.offset + before.units).toBeLessThanOrEqual(offset);
    expect(offset + units).toBeLessThanOrEqual(after?.offset ?? this.capacity);
    this.live.splice(index, 0, { node, offset, units });
  }
}

/** A free block of this size is certain to be found: bins are an eighth of a doubling wide. */
function certain(units: number): number {
  return units < 8 ? units : units + 2 ** (Math.floor(Math.log2(units)) - 3);
}

function check(allocator: OffsetAllocator, model: Model): void {
  const gaps = model.gaps();
  const counts: number[] = [];
  for (const gap of gaps) {
    const power = Math.floor(Math.log2(gap));
    while (counts.length <= power) counts.push(0);
    counts[power]!++;
  }
  expect(allocator.histogram()).toEqual(counts);
  expect(allocator.freeUnits).toBe(gaps.reduce((sum, gap) => sum + gap, 0));
  expect(allocator.largestFree).toBe(Math.max(0, ...gaps));
  expect(allocator.blockCount).toBe(model.live.length);
}

test.each([1, 2, 3])("20,000 operations against a naive model, seed %d", (seed) => {
  const next = random(seed);
  const model = new Model(2 ** 14);
  const allocator = new OffsetAllocator(model.capacity, 1);
  let refused = 0;
  const resized = [0, 0];
  for (let step = 0; step < 20_000; step++) {
    // Long phases of growing and of shrinking, so that it is full at times and fragmented at others.
    const grows = next(100) < (Math.floor(step / 1000) % 2 === 0 ? 62 : 42);
    if (grows) {
      const units = 1 + next([4, 30, 300, 1500][next(4)]!);
      const node = allocator.allocate(units);
      if (node === -1) {
        refused++;
        expect(Math.max(0, ...model.gaps())).toBeLessThan(certain(units));
      } else {
        expect(allocator.sizeOf(node)).toBe(units);
        model.add(node, allocator.offsetOf(node), units);
      }
    } else if (model.live.length > 0) {
      const [gone] = model.live.splice(next(model.live.length), 1);
      if (next(3) === 0) {
        const units = 1 + next(gone!.units * 3);
        const behind = model.live.find(({ offset }) => offset > gone!.offset);
        const room = (behind?.offset ?? model.capacity) - gone!.offset;
        expect(allocator.resize(gone!.node, units)).toBe(units <= room);
        model.add(gone!.node, gone!.offset, units <= room ? units : gone!.units);
        resized[units <= room ? 0 : 1]!++;
      } else {
        allocator.free(gone!.node);
      }
    }
    if (step % 10 === 0) check(allocator, model);
  }
  expect(refused).toBeGreaterThan(100);
  expect(Math.min(...resized)).toBeGreaterThan(100);
  while (model.live.length > 0) {
    const [gone] = model.live.splice(next(model.live.length), 1);
    allocator.free(gone!.node);
    check(allocator, model);
  }
  // One free block again, and not only as many free units.
  expect(allocator.largestFree).toBe(model.capacity);
  expect(allocator.offsetOf(allocator.allocate(model.capacity))).toBe(0);
  expect(allocator.allocate(1)).toBe(-1);
});

test("any order of freeing ends in one free block", () => {
  const sizes = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 60 });
  fc.assert(
    fc.property(sizes, fc.infiniteStream(fc.nat()), (units, picks) => {
      const capacity = units.reduce((a, b) => a + b, 0);
      const allocator = new OffsetAllocator(capacity);
      const nodes = units.map((size) => allocator.allocate(size));
      expect(allocator).toMatchObject({ freeUnits: 0, largestFree: 0, blockCount: units.length });
      while (nodes.length > 0)
        allocator.free(nodes.splice(picks.next().value % nodes.length, 1)[0]!);
      expect(allocator).toMatchObject({
        freeUnits: capacity,
        largestFree: capacity,
        blockCount: 0,
      });
    }),
  );
});

test.each([1, 7, 8, 9, 255, 2 ** 20 + 3, 2 ** 31 - 1])(
  "a space of %d units fits exactly",
  (units) => {
    const allocator = new OffsetAllocator(units);
    expect(allocator.allocate(units + 1)).toBe(-1);
    const node = allocator.allocate(units);
    expect([allocator.offsetOf(node), allocator.sizeOf(node)]).toEqual([0, units]);
    expect(allocator.allocate(1)).toBe(-1);
    allocator.free(node);
    expect(allocator.largestFree).toBe(units);
  },
);

/** Counts every element of an `Int32Array` that is read or written from now on. */
function countTouches(): { touched: number } {
  const counter = { touched: 0 };
  const Plain = Int32Array;
  vi.stubGlobal("Int32Array", function (length: number) {
    return new Proxy(new Plain(length), {
      get(array, key) {
        if (typeof key === "string" && /^\d/.test(key)) counter.touched++;
        const value: unknown = Reflect.get(array, key);
        if (typeof value !== "function") return value;
        return (...rest: unknown[]): unknown => {
          const result: unknown = Reflect.apply(value, array, rest);
          return result === array ? new Proxy(array, this) : result;
        };
      },
      set(array, key, value) {
        counter.touched++;
        return Reflect.set(array, key, value);
      },
    });
  });
  return counter;
}

test("a call touches a bounded number of nodes, whatever the number of blocks", () => {
  const worst: number[] = [];
  for (const blocks of [10, 100, 1000]) {
    const counter = countTouches();
    const allocator = new OffsetAllocator(blocks * 100 + 1000, 4 * blocks + 16);
    const nodes = Array.from({ length: blocks * 2 }, (_, index) =>
      allocator.allocate(index % 2 === 0 ? 64 : 36),
    );
    let most = 0;
    const measure = <T>(action: () => T): T => {
      counter.touched = 0;
      const result = action();
      most = Math.max(most, counter.touched);
      return result;
    };
    // Holes of 64 between live blocks, all of them in the bin of 71 and all of them too small for it.
    for (const node of nodes.filter((_, index) => index % 2 === 0))
      measure(() => allocator.free(node));
    const found = measure(() => allocator.allocate(71));
    expect(allocator.offsetOf(found)).toBe(blocks * 100);
    measure(() => allocator.allocate(929));
    expect(measure(() => allocator.allocate(71))).toBe(-1);
    expect(measure(() => allocator.allocate(64))).not.toBe(-1);
    worst.push(most);
    vi.unstubAllGlobals();
  }
  expect(worst[0]).toBeGreaterThan(5);
  expect(worst[2]).toBe(worst[0]);
});

/** Holes of the given sizes, freed from the last to the first; between them and at the end are live blocks. */
function holed(sizes: readonly number[]): { allocator: OffsetAllocator; offsets: number[] } {
  const allocator = new OffsetAllocator(sizes.reduce((sum, size) => sum + size + 1, 0));
  const nodes = sizes.map((size) => {
    const node = allocator.allocate(size);
    allocator.allocate(1);
    return node;
  });
  const offsets = nodes.map((node) => allocator.offsetOf(node));
  for (const node of nodes.toReversed()) allocator.free(node);
  return { allocator, offsets };
}

test("four of a bin are tried; a thorough search tries them all", () => {
  // Blocks of 64 to 71 share a bin, and what was freed last is tried first.
  const { allocator, offsets } = holed([64, 65, 66, 67, 68, 71, 69, 70]);
  expect(allocator.allocate(71)).toBe(-1);
  const widest = allocator.allocate(71, true);
  expect(allocator.offsetOf(widest)).toBe(offsets[5]);
  expect(allocator.allocate(71, true)).toBe(-1);
  // Behind four that are too small, more than enough is enough.
  const ample = allocator.allocate(69, true);
  expect(allocator.offsetOf(ample)).toBe(offsets[6]);
  expect(allocator.largestFree).toBe(70);
  // The fifth of a bin is not tried, the fourth is.
  expect(holed([64, 64, 64, 64, 71]).allocator.allocate(71)).toBe(-1);
  const fourth = holed([64, 64, 64, 71]);
  expect(fourth.allocator.offsetOf(fourth.allocator.allocate(71))).toBe(fourth.offsets[3]);
});

test("of larger blocks the smallest are taken", () => {
  for (const sizes of [
    [200, 20, 2000],
    [14, 12, 15],
  ]) {
    const { allocator, offsets } = holed(sizes);
    expect(allocator.offsetOf(allocator.allocate(10))).toBe(offsets[1]);
  }
});

test("more than 2^32 units are refused, and nothing is taken", () => {
  const allocator = new OffsetAllocator(100);
  expect(allocator.allocate(2 ** 32 + 8)).toBe(-1);
  expect([allocator.freeUnits, allocator.blockCount]).toEqual([100, 0]);
});

test.each(["freed", "resized"])("the last block is %s behind a first one of one unit", (what) => {
  const allocator = new OffsetAllocator(14);
  const [, low, , high, , last] = [1, 4, 1, 4, 1, 3].map((units) => allocator.allocate(units));
  for (const node of [high!, low!]) allocator.free(node);
  // Nothing lies behind it, whatever the first block looks like.
  if (what === "freed") allocator.free(last!);
  else expect(allocator.resize(last!, 3)).toBe(true);
  for (const free of [low, high]) expect(allocator.allocate(4)).toBe(free);
  expect(allocator.allocate(4)).toBe(-1);
});

test("what is cut off at the end leaves the first block as it is", () => {
  const allocator = new OffsetAllocator(16);
  const [first, second] = [allocator.allocate(4), allocator.allocate(4)];
  allocator.free(first);
  expect(allocator.offsetOf(allocator.allocate(6))).toBe(8);
  allocator.free(second);
  expect(allocator.largestFree).toBe(8);
});

test("the tables are counted, and grow with the most blocks at a time alone", () => {
  const allocator = new OffsetAllocator(1000);
  // 64 nodes of eight words, 256 lists and the bits that say which of them are empty.
  expect(allocator.metadataBytes).toBe(64 * 32 + 256 * 4 + 36);
  for (let round = 0; round < 1000; round++) {
    const nodes = [allocator.allocate(10), allocator.allocate(10)];
    for (const node of nodes) allocator.free(node);
  }
  expect(allocator.metadataBytes).toBe(64 * 32 + 256 * 4 + 36);
});

test("what was freed last is there for who asks for its size, and is merged for everybody else", () => {
  const allocator = new OffsetAllocator(100);
  const [first, second, third] = [10, 20, 10].map((units) => allocator.allocate(units));
  allocator.free(first!);
  allocator.free(second!);
  expect([allocator.freeUnits, allocator.blockCount]).toEqual([90, 1]);
  // Not a part of the larger free block before it, nor of the one at the end.
  expect(allocator.allocate(20)).toBe(second);
  allocator.free(second!);
  expect(allocator.offsetOf(allocator.allocate(30))).toBe(0);
  expect(allocator.offsetOf(third!)).toBe(30);
  // Whoever hands out a range from its beginning settles it first.
  const [low, high] = [allocator.allocate(20), allocator.allocate(10)];
  allocator.free(low);
  allocator.free(high);
  allocator.settle();
  allocator.settle();
  expect(allocator.offsetOf(allocator.allocate(10))).toBe(40);
});
