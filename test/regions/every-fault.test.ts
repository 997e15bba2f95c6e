/**
 * Failure at every call that can fail, one at a time: by the wrapper that refuses, by an engine that has
 * no memory, by a platform that makes no buffer. Nothing leaks, the statistics add up, and the region
 * works on.
 */

import { afterEach, describe, expect, test } from "vitest";

import {
  FaultyRegion,
  GeneralHeap,
  HotArena,
  hostTensor,
  MoorageError,
  PagePool,
  PinnedHeap,
} from "../../src/index.ts";
import type { Allocation, MemoryRegion, RegionStats } from "../../src/index.ts";
import { FakeSource } from "./fake-mappable.ts";

function expectBalanced({
  liveBytes,
  paddingBytes,
  deferredBytes,
  freeBytes,
  reservedBytes,
}: RegionStats): void {
  expect(liveBytes + paddingBytes + deferredBytes + freeBytes).toBe(reservedBytes);
  expect(liveBytes).toBe(0);
}

/** Allocates in every form; whatever fails, what was made is freed. */
async function scenario<A extends Allocation>(region: MemoryRegion<A>): Promise<void> {
  const held: A[] = [];
  try {
    for (let round = 0; round < 3; round++) {
      held.push(region.alloc({ byteLength: 1000 + round, label: "sync" }));
      held.push(await region.allocAsync({ byteLength: 20_000, label: "async" }));
      const tried = region.tryAlloc({ byteLength: 300, alignment: 64, label: "try" });
      if (!tried.ok) throw tried.error;
      held.push(tried.value);
      const later = await region.tryAllocAsync({ byteLength: 70_000 });
      if (!later.ok) throw later.error;
      held.push(later.value);
      const grown = region.tryRealloc(held[0]!, 5000 * (round + 1));
      if (!grown.ok) throw grown.error;
      held[0] = grown.value;
    }
  } finally {
    for (const allocation of held) region.free(allocation);
  }
}

/** Runs it once to count the calls, then once for each of them. */
async function everyFault(
  run: () => Promise<void>,
  calls: () => number,
  failAt: (call: number) => void,
  check: () => void,
): Promise<void> {
  await run();
  check();
  const count = calls();
  expect(count).toBeGreaterThan(2);
  for (let call = 1; call <= count; call++) {
    failAt(call);
    await run().catch((error: unknown) => expect(error).toBeInstanceOf(MoorageError));
    failAt(0);
    check();
    // Still usable.
    await run();
    check();
  }
}

const regions: Readonly<Record<string, () => MemoryRegion>> = {
  HotArena: () => new HotArena(new PagePool({ pageBytes: 16 * 1024 })),
  GeneralHeap: () => new GeneralHeap({ regionBytes: 16 * 1024, budgetBytes: 2 ** 20 }),
  PinnedHeap: () => new PinnedHeap(new FakeSource(), { budgetBytes: 2 ** 20 }),
};

describe("a region that refuses", () => {
  test.each(Object.entries(regions))("%s", async (_, open) => {
    const region = new FaultyRegion(open());
    await everyFault(
      () => scenario(region),
      () => region.fallibleCallCount,
      (call) => region.failAfter(call),
      () => expectBalanced(region.stats()),
    );
  });
});

describe("an engine without memory", () => {
  const Original = globalThis.ArrayBuffer;
  let left = 0;
  let made = 0;
  class Failing extends Original {
    constructor(byteLength: number) {
      made++;
      if (--left === 0) throw new RangeError("Array buffer allocation failed");
      super(byteLength);
    }
  }
  afterEach(() => {
    globalThis.ArrayBuffer = Original;
  });
  const starved = async (run: () => Promise<void>): Promise<void> => {
    globalThis.ArrayBuffer = Failing as unknown as ArrayBufferConstructor;
    try {
      await run();
    } finally {
      globalThis.ArrayBuffer = Original;
    }
  };

  test.each(["HotArena", "GeneralHeap"])("%s", async (name) => {
    // A region of its own for each failure: what is cached asks the engine for nothing.
    left = 0;
    made = 0;
    await starved(() => scenario(regions[name]!()));
    const calls = made;
    expect(calls).toBeGreaterThan(3);
    for (let call = 1; call <= calls; call++) {
      const region = regions[name]!();
      left = call;
      // The heap collects and tries again: that may succeed.
      await starved(() => scenario(region)).catch((error: unknown) => {
        expect(error).toMatchObject({ code: "OUT_OF_MEMORY", cause: { name: "RangeError" } });
      });
      expectBalanced(region.stats());
      await scenario(region);
      expectBalanced(region.stats());
    }
  });
});

test("a platform that makes no buffer", async () => {
  let countdown = 0;
  let created = 0;
  class Refusing extends FakeSource {
    override create(...args: Parameters<FakeSource["create"]>): ReturnType<FakeSource["create"]> {
      created++;
      if (--countdown === 0) throw new RangeError("injected");
      return super.create(...args);
    }
  }
  const source = new Refusing();
  const heap = new PinnedHeap(source, { budgetBytes: 2 ** 20 });
  const run = async (): Promise<void> => {
    created = 0;
    await scenario(heap);
    heap.trim(0);
  };
  await everyFault(
    run,
    () => created,
    (call) => void (countdown = call),
    () => {
      expectBalanced(heap.stats());
      expect(source.aliveBytes).toBe(heap.stats().reservedBytes);
    },
  );
});

test("a tensor's copy and cast, at each of their allocations", async () => {
  const heap = new GeneralHeap({ regionBytes: 16 * 1024, budgetBytes: 2 ** 20 });
  const region = new FaultyRegion(heap);
  const run = async (): Promise<void> => {
    const tensor = hostTensor(region as never, { shape: [40, 10], dtype: "float32" });
    try {
      const copy = tensor.transpose().copy();
      try {
        copy.cast("int16").dispose();
      } finally {
        copy.dispose();
      }
    } finally {
      tensor.dispose();
    }
    await Promise.resolve();
  };
  await everyFault(
    run,
    () => region.fallibleCallCount,
    (call) => region.failAfter(call),
    () => expectBalanced(heap.stats()),
  );
});
