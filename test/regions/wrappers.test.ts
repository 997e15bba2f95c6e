/** The one concern of each wrapper; that it obeys the contract as well is in `wrapped.test.ts`. */

import { describe, expect, test } from "vitest";

import type { GeneralBlock } from "../../src/host/general/general-block.ts";
import { GeneralHeap } from "../../src/host/general/general-heap.ts";
import { CountedRegion } from "../../src/host/wrappers/counted-region.ts";
import { FaultyRegion } from "../../src/host/wrappers/faulty-region.ts";
import { LimitedRegion } from "../../src/host/wrappers/limited-region.ts";
import { LoggedRegion } from "../../src/host/wrappers/logged-region.ts";
import { TrackedRegion } from "../../src/host/wrappers/tracked-region.ts";
import { caught, codeOf } from "../support/caught.ts";

const heap = (): GeneralHeap => new GeneralHeap({ label: "inner" });

describe("a limit", () => {
  test("refuses what would pass it, by name and with numbers, and lets through what is freed", () => {
    const region = new LimitedRegion(heap(), 1000);
    const a = region.alloc({ byteLength: 600, label: "a" });
    const error = caught(() => region.alloc({ byteLength: 401, label: "b" }));
    expect(error).toMatchObject({
      code: "OUT_OF_MEMORY",
      label: "b",
      requestedBytes: 401,
      availableBytes: 400,
    });
    const b = region.alloc({ byteLength: 400 });
    // While a realloc copies, old and new are live.
    expect(codeOf(() => region.realloc(b, 1))).toBe("OUT_OF_MEMORY");
    region.free(a);
    const c = region.realloc(b, 500);
    expect(region.refusedCount).toBe(2);
    region.free(c);
  });

  test.each([0, -1, NaN])("of %d is refused", (limit) => {
    expect(codeOf(() => new LimitedRegion(heap(), limit))).toBe("INVALID_ARGUMENT");
  });
});

test("counts are of what went through this door, not of the region", async () => {
  const inner = heap();
  const other = inner.alloc({ byteLength: 5000 });
  const region = new CountedRegion(inner);
  const a = region.alloc({ byteLength: 100 });
  const b = await region.allocAsync({ byteLength: 1000 });
  const c = region.realloc(a, 130);
  expect(codeOf(() => region.alloc({ byteLength: 0 }))).toBe("INVALID_ARGUMENT");
  region.free(b);
  expect(region.counts()).toEqual({
    allocationCount: 3,
    freeCount: 2,
    failedCount: 1,
    totalAllocatedBytes: 1230,
    totalFreedBytes: 1100,
    largestBytes: 1000,
    histogram: [0, 0, 0, 0, 0, 0, 1, 1, 0, 1],
  });
  region.free(c);
  inner.free(other);
});

describe("tracking", () => {
  test("tells what lives, its age, and where it was made", () => {
    let now = 0;
    const region = new TrackedRegion(heap(), { stacks: true, now: () => now });
    const a = region.alloc({ byteLength: 8, label: "old" });
    now = 70;
    const b = region.alloc({ byteLength: 16, label: "young" });
    now = 100;
    expect(region.outstanding()).toMatchObject([
      { label: "old", byteLength: 8, ageMs: 100 },
      { label: "young", byteLength: 16, ageMs: 30 },
    ]);
    expect(region.outstanding()[0]!.stack).toContain("wrappers.test");
    const error = caught(() => region.assertNoLeaks());
    expect(error.code).toBe("LEAK");
    expect(error.message).toContain('"young" 16 bytes, 30 ms old');
    // Freed around the wrapper, too.
    region.inner.free(a);
    b.dispose();
    region.assertNoLeaks();
  });
});

test("logging writes a line for every call, refused ones too", async () => {
  const lines: string[] = [];
  const region = new LoggedRegion(heap(), (line) => lines.push(line));
  const a = region.alloc({ byteLength: 8, label: "a" });
  const b = region.realloc(await region.allocAsync({ byteLength: 4, label: "b" }), 9);
  region.free(a);
  for (const wrong of [() => region.free(a), () => region.alloc({ byteLength: 0, label: "c" })])
    expect(wrong).toThrow();
  await expect(region.allocAsync({ byteLength: -1 })).rejects.toThrow();
  expect(lines.map((line) => line.slice(0, 40))).toEqual([
    'inner: alloc "a" 8 bytes',
    'inner: allocAsync "b" 4 bytes',
    'inner: realloc "b" 9 bytes',
    'inner: free "a" 8 bytes',
    'inner: free "a" LifetimeError: "a" was f',
    'inner: alloc "c" 0 bytes: InvalidArgumen',
    'inner: allocAsync "unnamed" -1 bytes: In',
  ]);
  region.free(b);
});

test("fault injection fails the call that it was told to, and no other", async () => {
  const region = new FaultyRegion(heap());
  const scenario = async (): Promise<void> => {
    const held: GeneralBlock[] = [];
    try {
      held.push(region.alloc({ byteLength: 100, label: "first" }));
      held.push(await region.allocAsync({ byteLength: 200, label: "second" }));
      held[0] = region.realloc(held[0]!, 300);
    } finally {
      for (const block of held) region.free(block);
    }
  };
  await scenario();
  const calls = region.fallibleCallCount;
  expect(calls).toBe(3);
  for (let call = 1; call <= calls; call++) {
    region.failAfter(call);
    await expect(scenario()).rejects.toMatchObject({ code: "OUT_OF_MEMORY" });
    expect(region.stats().liveBytes).toBe(0);
  }
  region.failAfter(0);
  await scenario();
});
