import * as fc from "fast-check";
import { expect, test } from "vitest";

import { RegionLedger } from "../../src/host/statistics.ts";
import type { Balance } from "../../src/host/statistics.ts";

function sumOf(balance: Balance): number {
  const { liveBytes, paddingBytes, deferredBytes, freeBytes } = balance;
  return liveBytes + paddingBytes + deferredBytes + freeBytes;
}

test("a new ledger is all zeros", () => {
  const stats = new RegionLedger("hot").stats();
  const { region, live, reserved, atPeak, ...numbers } = stats;
  expect(region).toBe("hot");
  for (const counter of [live, reserved]) expect(counter).toEqual({ value: 0, peak: 0, total: 0 });
  expect(new Set(Object.values({ ...numbers, ...atPeak }))).toEqual(new Set([0]));
});

test("a story with every term, told step by step", () => {
  const ledger = new RegionLedger("pinned");
  ledger.reserve(100);
  ledger.allocated(30, 10);
  ledger.allocated(20, 0);
  expect(ledger.balance()).toEqual({
    liveBytes: 50,
    paddingBytes: 10,
    deferredBytes: 0,
    freeBytes: 40,
    reservedBytes: 100,
  });
  ledger.freed(30, 10);
  ledger.defer(40);
  ledger.reserve(60);
  ledger.failed();
  ledger.defer(-40);
  ledger.reserve(-100);
  const stats = ledger.stats();
  expect(stats).toMatchObject({
    liveBytes: 20,
    paddingBytes: 0,
    deferredBytes: 0,
    freeBytes: 40,
    reservedBytes: 60,
    allocationCount: 2,
    freeCount: 1,
    failedCount: 1,
    live: { value: 20, peak: 50, total: 50 },
    reserved: { value: 60, peak: 160, total: 160 },
  });
  // The snapshot is of the moment of the peak, not of now.
  expect(stats.atPeak).toEqual({
    liveBytes: 20,
    paddingBytes: 0,
    deferredBytes: 40,
    freeBytes: 100,
    reservedBytes: 160,
  });
});

test("of two moments with as much reserved, the later is the peak's", () => {
  const ledger = new RegionLedger("device-heap");
  ledger.reserve(100);
  ledger.allocated(30, 2);
  ledger.reserve(-50);
  ledger.reserve(50);
  expect(ledger.stats().atPeak).toMatchObject({ liveBytes: 30, paddingBytes: 2, freeBytes: 68 });
});

test("statistics that were handed out do not change afterwards", () => {
  const ledger = new RegionLedger("hot");
  ledger.reserve(10);
  const before = ledger.stats();
  const copy = structuredClone(before);
  ledger.allocated(5, 1);
  ledger.reserve(20);
  expect(before).toEqual(copy);
});

test("bytes leased from a parent that holds them already are counted once in it", () => {
  const parent = new RegionLedger("hot");
  const child = new RegionLedger("hot", parent);
  parent.reserve(64);
  child.lease(64);
  child.allocated(10, 0);
  expect(parent.balance()).toMatchObject({ reservedBytes: 64, liveBytes: 10, freeBytes: 54 });
  expect(child.balance()).toMatchObject({ reservedBytes: 64, liveBytes: 10, freeBytes: 54 });
  child.freedInBulk();
  child.lease(-64);
  expect(parent.balance()).toMatchObject({ reservedBytes: 64, liveBytes: 0 });
  expect(child.balance()).toMatchObject({ reservedBytes: 0, liveBytes: 0 });
});

type Step = readonly ["reserve" | "allocate" | "free" | "end", child: number, bytes: number];
const steps = fc.array(
  fc.tuple(
    fc.constantFrom("reserve" as const, "allocate" as const, "free" as const, "end" as const),
    fc.nat(2),
    fc.integer({ min: 1, max: 100 }),
  ),
  { maxLength: 200 },
);

test("a parent counts what its children count, peaks over all of them together", () => {
  fc.assert(
    fc.property(steps, (program: readonly Step[]) => {
      const parent = new RegionLedger("device-arena");
      const children = [0, 1, 2].map(() => new RegionLedger("device-arena", parent));
      const live: number[][] = [[], [], []];
      const reserved = [0, 0, 0];
      const sum = (numbers: readonly number[]): number => numbers.reduce((a, b) => a + b, 0);
      let [peak, total, frees, reservedPeak] = [0, 0, 0, 0];
      for (const [action, index, bytes] of program) {
        const child = children[index]!;
        const own = live[index]!;
        if (action === "reserve") {
          child.reserve(bytes);
          reserved[index]! += bytes;
        } else if (action === "allocate") {
          child.allocated(bytes, 1);
          own.push(bytes);
          total += bytes;
        } else if (action === "free" && own.length > 0) {
          child.freed(own.pop()!, 1);
          frees++;
        } else if (action === "end") {
          frees += own.length;
          own.length = 0;
          child.freedInBulk();
          child.reserve(-reserved[index]!);
          reserved[index] = 0;
        }
        const liveNow = sum(live.flat());
        peak = Math.max(peak, liveNow);
        reservedPeak = Math.max(reservedPeak, sum(reserved));
        const stats = parent.stats();
        expect(stats.live).toEqual({ value: liveNow, peak, total });
        expect(stats.paddingBytes).toBe(live.flat().length);
        expect(stats.reservedBytes).toBe(sum(reserved));
        expect(stats.reserved.peak).toBe(reservedPeak);
        expect(stats.freeCount).toBe(frees);
        expect(child.stats().live.value).toBe(sum(own));
        expect(sumOf(stats)).toBe(stats.reservedBytes);
        expect(stats.atPeak.reservedBytes).toBe(reservedPeak);
        expect(sumOf(stats.atPeak)).toBe(reservedPeak);
      }
    }),
    { numRuns: 200 },
  );
});

test("what a ledger counts, its parent counts too", () => {
  const parent = new RegionLedger("hot");
  const child = new RegionLedger("hot", parent);
  for (const ledger of [parent, child]) ledger.reserve(100);
  child.allocated(30, 2);
  child.allocated(10, 0);
  child.freed(10, 0);
  for (const ledger of [parent, child]) {
    expect(ledger.stats()).toMatchObject({
      liveBytes: 30,
      paddingBytes: 2,
      allocationCount: 2,
      freeCount: 1,
    });
  }
});
