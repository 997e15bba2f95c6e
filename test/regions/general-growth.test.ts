/** How a general heap grows: by a fraction, or as a function of the user's says. */

import { expect, test } from "vitest";

import { GeneralHeap } from "../../src/index.ts";
import type { GeneralHeapOptions, GrowthState } from "../../src/index.ts";
import { caught } from "../support/caught.ts";

const regionBytes = 16 * 1024;
const large = { byteLength: regionBytes / 4, label: "quarter" };

function open(options: GeneralHeapOptions): GeneralHeap {
  return new GeneralHeap({ regionBytes, budgetBytes: 16 * regionBytes, ...options });
}

test.each([
  ["nothing ahead", 0, 1],
  ["a fraction of what is reserved", 2, 3],
  ["a function's bytes, in whole regions", () => 2.5 * regionBytes, 3],
  ["never past the budget, of which a region is kept", () => Infinity, 15],
  ["never past the cache", () => Infinity, 5, 4 * regionBytes],
] as const)("reserves %s", (_, growth, regions, cacheBytes = 2 ** 30) => {
  const heap = open({ growth, cacheBytes });
  const block = heap.alloc(large);
  expect(heap.stats().reservedBytes).toBe(regions * regionBytes);
  block.dispose();
});

test("the function is told of the heap as it is, and only when the heap grows", () => {
  const states: GrowthState[] = [];
  const heap = open({ growth: (state) => (states.push(state), regionBytes) });
  const blocks = Array.from({ length: 9 }, () => heap.alloc(large));
  expect(states).toEqual([
    { reservedBytes: 0, liveBytes: 0, budgetBytes: 16 * regionBytes, regionBytes },
    {
      reservedBytes: 2 * regionBytes,
      // One region is left to compaction: a free one is not enough.
      liveBytes: regionBytes,
      budgetBytes: 16 * regionBytes,
      regionBytes,
    },
  ]);
  for (const block of blocks) block.dispose();
});

test("what it throws is the allocation's, and nothing has changed", () => {
  const error = new Error("user's own");
  let failure: unknown = error;
  const heap = open({
    growth: () => {
      if (failure !== null) throw failure;
      return 0;
    },
  });
  const before = heap.stats();
  expect(() => heap.alloc(large)).toThrow(error);
  expect(heap.stats()).toEqual(before);
  failure = null;
  heap.alloc(large).dispose();
});

test.each([NaN, -1])("%d is no number of bytes", (bytes) => {
  const heap = open({ growth: () => bytes });
  const error = caught(() => heap.alloc(large));
  expect(error.code).toBe("INVALID_ARGUMENT");
  expect(error.message).toContain("growth");
  expect(heap.stats().reservedBytes).toBe(0);
});
