/** What a general heap refuses, and what handles, views, pins and hooks of it show. */

import { describe, expect, test } from "vitest";

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

  test("a long pin where there is no room is a pin in place", () => {
    const heap = open({ budgetBytes: 2 * regionBytes });
    const block = filled(heap, 5000, 1);
    const { byteOffset } = block;
    const pin = block.pin({ long: true });
    expect([block.byteOffset, heap.isPinned(block)]).toEqual([byteOffset, true]);
    expect(pin.bytes()).toEqual(pattern(5000, 1));
    end([pin, block]);
  });
});
