/** What a general heap refuses, and what handles, views, pins and hooks of it show. */

import { describe, expect, test, vi } from "vitest";

import { mostEntries } from "../../src/host/general/handle-table.ts";
import { GeneralHeap } from "../../src/index.ts";
import { caught, codeOf } from "../support/caught.ts";
import { end, filled, open, regionBytes } from "./general-small.ts";
import { pattern } from "./subject.ts";

describe("a request that cannot be served", () => {
  test("says that collections are held off, where that is why", () => {
    const heap = open({ budgetBytes: 4 * regionBytes });
    const blocks = Array.from({ length: 2 }, () => heap.alloc({ byteLength: regionBytes }));
    const held = heap.withNoGC(() =>
      caught(() => heap.alloc({ byteLength: 2 * regionBytes, label: "wide" })),
    );
    expect(held).toMatchObject({
      code: "OUT_OF_MEMORY",
      label: "wide",
      requestedBytes: 2 * regionBytes,
      availableBytes: regionBytes,
    });
    expect(held.message).toContain("withNoGC");
    const free = caught(() => heap.alloc({ byteLength: 2 * regionBytes, label: "wide" }));
    expect(free.message).not.toContain("withNoGC");
    expect(heap.stats().failedCount).toBe(2);
    end(blocks);
  });

  test("asks listeners up to what the budget could hold, and nobody for more", () => {
    const heap = open({ budgetBytes: 4 * regionBytes, watermarks: { high: 1, critical: 1 } });
    const kept = heap.alloc({ byteLength: 8 });
    let asked = 0;
    const stop = heap.onPressure(() => asked++);
    expect(codeOf(() => heap.alloc({ byteLength: 3 * regionBytes }))).toBe("OUT_OF_MEMORY");
    expect(asked).toBe(1);
    expect(codeOf(() => heap.alloc({ byteLength: 3 * regionBytes + 1 }))).toBe("OUT_OF_MEMORY");
    expect(asked).toBe(1);
    stop();
    kept.dispose();
  });
});

describe("a table of handles that is full", () => {
  test("refuses a large block, and keeps nothing of it", () => {
    const heap = open();
    // As many entries as there can be, and none of them free.
    heap.table.generation = new Uint32Array(mostEntries);
    for (let count = 0; count < 2; count++) {
      const error = caught(() => heap.alloc({ byteLength: 2 * regionBytes }));
      expect(error).toMatchObject({ code: "OUT_OF_MEMORY", requestedBytes: 1, availableBytes: 0 });
      expect(error.message).toContain("16777216 blocks");
    }
    // The memory that was taken for the first was there for the second.
    expect(heap.stats()).toMatchObject({
      liveBytes: 0,
      reservedBytes: 2 * regionBytes,
      freeBytes: 2 * regionBytes,
      allocationCount: 0,
    });
  });
});

describe("an error that is none of Moorage's", () => {
  const broken = new TypeError("a policy of its own");

  test("is thrown by tryAlloc, and is no result", () => {
    const growth = (): never => {
      throw broken;
    };
    expect(() => open({ growth }).tryAlloc({ byteLength: 8 })).toThrow(broken);
  });

  test("is thrown by a long pin, which holds nothing then", () => {
    let isBroken = false;
    const heap = open({
      growth: () => {
        if (isBroken) throw broken;
        return 0;
      },
    });
    const block = filled(heap, 100, 1);
    isBroken = true;
    expect(() => block.pin({ long: true })).toThrow(broken);
    expect(heap.isPinned(block)).toBe(false);
    end([block]);
    expect(heap.stats().liveBytes).toBe(0);
  });
});

test("an alignment beyond a page is refused by the name of who asked", () => {
  const error = caught(() => open().alloc({ byteLength: 8, alignment: 8192, label: "wide" }));
  expect(error).toMatchObject({ code: "UNSUPPORTED_ALIGNMENT", label: "wide" });
});

test("with nothing set, time is the engine's, and ignored pressure is told on the console", () => {
  const told = vi.spyOn(console, "warn").mockImplementation(() => {});
  const heap = new GeneralHeap({ regionBytes, budgetBytes: 2 * regionBytes });
  const block = heap.alloc({ byteLength: 8 });
  for (let count = 0; count < 3; count++)
    expect(codeOf(() => heap.alloc({ byteLength: regionBytes }))).toBe("OUT_OF_MEMORY");
  expect(told.mock.calls).toEqual([[expect.stringContaining("critical pressure")]]);
  told.mockRestore();
  expect(heap.collectionStats().pauses.totalMs).toBeGreaterThanOrEqual(0);
  block.dispose();
});

describe("handles and views", () => {
  test("the engine is told of what outlives its region's use, and no more when it is freed", () => {
    const told: unknown[] = [];
    const heap = open({
      finalizers: () => ({
        register: (handle) => told.push(["register", handle]),
        unregister: (handle) => told.push(["unregister", handle]),
      }),
    });
    const young = heap.alloc({ byteLength: 8 });
    young.dispose();
    expect(told).toEqual([]);
    const kept = heap.alloc({ byteLength: 8 });
    heap.collect();
    heap.collect();
    const other = kept.retain();
    const large = heap.alloc({ byteLength: regionBytes });
    const expected = [kept, other, large];
    expect(told.length).toBe(3);
    for (const [index, handle] of expected.entries()) {
      expect(told[index], `${index}`).toEqual(["register", handle]);
    }
    end([other, kept, large]);
    expect(told.slice(3).map((entry) => (entry as [string])[0])).toEqual([
      "unregister",
      "unregister",
      "unregister",
    ]);
  });

  test("one array for one dtype, as long as the block stays where it is", () => {
    const heap = open();
    const block = filled(heap, 64, 1);
    const bytes = block.bytes();
    expect(block.bytes() === bytes).toBe(true);
    const floats = block.array("float32");
    expect([floats.length, floats.buffer === bytes.buffer]).toEqual([16, true]);
    expect(block.bytes() === bytes).toBe(false);
    expect(block.bytes()).toEqual(pattern(64, 1));
    const before = block.bytes();
    heap.collect();
    expect([before.length, block.bytes().length]).toEqual([0, 64]);
    expect(block.bytes()).toEqual(pattern(64, 1));
    const other = block.retain();
    expect(other.bytes() === block.bytes()).toBe(false);
    end([block, other]);
    expect(codeOf(() => other.bytes())).toBe("USE_AFTER_DISPOSE");
  });

  test("hooks hear of pressure, and another heap's block is refused", () => {
    const heard: string[] = [];
    const heap = open({
      budgetBytes: 4 * regionBytes,
      watermarks: { high: 0.2, critical: 1 },
      hooks: { onPressure: ({ level }) => heard.push(level) },
    });
    const block = heap.alloc({ byteLength: regionBytes });
    expect(heard).toEqual(["high"]);
    expect(codeOf(() => open().isPinned(block))).toBe("FOREIGN_HANDLE");
    expect(heap.isPinned(block)).toBe(false);
    block.dispose();
  });

  test("a block and its pin end with the scope of a using declaration", () => {
    const heap = open();
    const block = filled(heap, 64, 1);
    const pin = block.pin();
    block[Symbol.dispose]();
    expect([block.isAlive, heap.stats().liveBytes]).toEqual([false, 64]);
    // A handle that somebody keeps does not keep memory, too.
    expect(pin.bytes()).toEqual(pattern(64, 1));
    expect(block.view).toBe(null);
    pin[Symbol.dispose]();
    expect(heap.stats().liveBytes).toBe(0);
  });

  test("in debug mode each array is a new one, and is watched until its block ends", () => {
    const heap = open();
    const heard: unknown[] = [];
    const watch = {
      handed: (key: number, view: ArrayBufferView, label: string) =>
        heard.push([key, view.byteLength, label]),
      moved: (key: number) => heard.push(["moved", key]),
      ended: (key: number) => heard.push(["ended", key]),
    };
    heap.views = watch as unknown as NonNullable<typeof heap.views>;
    const block = heap.alloc({ byteLength: 64, label: "watched" });
    const key = heap.table.pack(block.index);
    expect(block.bytes() === block.bytes()).toBe(false);
    heap.collect();
    block.dispose();
    const handed = [key, 64, "watched"];
    expect(heard).toEqual([handed, handed, ["moved", key], ["ended", key]]);
  });

  test("a long pin where there is no room is a pin in place", () => {
    const heap = open({ budgetBytes: 2 * regionBytes });
    const block = filled(heap, 4000, 1);
    const { byteOffset } = block;
    const pin = block.pin({ long: true });
    expect([block.byteOffset, heap.isPinned(block)]).toEqual([byteOffset, true]);
    expect(pin.bytes()).toEqual(pattern(4000, 1));
    end([pin, block]);
  });
});
