/** The device's regions at their edges: slabs that are gone, of others, past the 31st, and pages that are full. */

import { describe, expect, test } from "vitest";

import { BlockTable, lostNode } from "../../src/device/memory/block-table.ts";
import { DeviceArena } from "../../src/device/memory/device-arena.ts";
import { DeviceHeap } from "../../src/device/memory/device-heap.ts";
import { DeviceError, MiB } from "../../src/index.ts";
import { codeOf } from "../support/caught.ts";
import { figures, openRegions, pageBytes } from "./device-regions.ts";
import { open, settle } from "./slab-parts.ts";

describe("the heap", () => {
  test("by itself waits for nothing, and resizes in place", () => {
    const heap = new DeviceHeap(open().pool, new BlockTable(), () => {
      throw new Error("nothing is to be copied");
    });
    const a = heap.alloc({ byteLength: 1000, label: "a" });
    const offset = a.byteOffset;
    expect(heap.realloc(a, 5000).byteOffset).toBe(offset);
  });

  test("makes a place that was found for it a block", () => {
    const { pool, heap, table } = openRegions();
    const seen: unknown[] = [];
    heap.observer = {
      allocated: (...told: unknown[]) => seen.push(told),
      freed: () => {},
      endedAll: () => {},
    };
    pool.place(1000, 0, "before");
    const place = pool.place(1000, 0, "x");
    const block = heap.adopt(place, 1000, "x");
    const extent = 4 * pool.granuleBytes;
    expect([block.label, block.byteLength, block.byteOffset]).toEqual(["x", 1000, extent]);
    const { slab, node, references } = table;
    expect([slab, table.extent, node, references].map((column) => column[block.row])).toEqual([
      place.slab.index,
      extent,
      place.node,
      1,
    ]);
    expect(seen).toEqual([[heap, block, "x", 1000]]);
    expect(figures(heap)).toEqual([1000, extent - 1000, 0, MiB]);
    heap.free(block);
    expect([figures(heap), place.slab.allocator.blockCount]).toEqual([[0, 0, 0, MiB], 1]);
  });

  test("moves a block whose slab is gone to another when it is resized", () => {
    const { pool, heap, copies } = openRegions();
    const a = heap.alloc({ byteLength: 1000, label: "a" });
    pool.close();
    const b = heap.realloc(a, 2000);
    expect([a.isAlive, copies]).toEqual([false, [[a, b, 1000]]]);
    expect(heap.stats().liveBytes).toBe(2000);
  });

  test("resizes a block that cannot be bound whole by a copy", () => {
    const { pool, heap, copies, slabOf } = openRegions();
    pool.maxBindingBytes = pageBytes;
    const a = heap.alloc({ byteLength: 2 * pageBytes });
    const wide = slabOf(a);
    const b = heap.realloc(a, pageBytes + 1);
    expect([wide.isWide, slabOf(b).isWide, slabOf(b) === wide]).toEqual([true, true, false]);
    expect([copies, wide.isEmpty]).toEqual([[[a, b, pageBytes + 1]], true]);
  });

  test("resizes nobody else's block, and takes nothing for it", () => {
    const { heap, arena } = openRegions();
    const [own, scratch] = [heap.alloc({ byteLength: 1000 }), arena.alloc({ byteLength: 1000 })];
    const before = [figures(heap), figures(arena)];
    for (const [region, block] of [
      [heap, scratch],
      [arena, own],
    ] as const) {
      for (const byteLength of [10, 10_000])
        expect(codeOf(() => region.realloc(block, byteLength))).toBe("FOREIGN_HANDLE");
    }
    const { allocationCount } = heap.stats();
    expect([figures(heap), figures(arena), allocationCount]).toEqual([...before, 1]);
  });

  test("counts no bytes of a buffer of somebody else's, also when it goes", () => {
    const { heap, pool, device } = openRegions();
    heap.alloc({ byteLength: 1000 });
    const buffer = device.asDevice.createBuffer({ size: 4096, usage: 0x80 });
    heap.forget(pool.adopt(buffer));
    expect(heap.stats().reservedBytes).toBe(MiB);
    pool.close();
    expect([heap.stats().reservedBytes, pool.reservedBytes]).toEqual([0, 0]);
  });

  test("has a block back where its new place is", () => {
    const { heap, pool, table } = openRegions();
    const a = heap.alloc({ byteLength: 1000 });
    pool.close();
    const first = heap.alloc({ byteLength: 1000 });
    expect(heap.readmit(a)).toBeNull();
    expect(a.byteOffset).toBe(table.extent[first.row]);
  });

  test("has a block back or says why not, but hides no defect", () => {
    const { heap, pool } = openRegions();
    const a = heap.alloc({ byteLength: 1000 });
    pool.close();
    pool.place = () => {
      throw new RangeError("a defect");
    };
    expect(() => heap.readmit(a)).toThrow(RangeError);
  });
});

describe("an arena", () => {
  test("holds its blocks in pages: they have no node of their own", () => {
    const { arena, table } = openRegions();
    const blocks = [1000, pageBytes].map((byteLength) => arena.alloc({ byteLength }));
    expect(blocks.map(({ row }) => table.node[row])).toEqual([-1, -1]);
  });

  test("cannot avoid slabs past the 31st", () => {
    const { heap, pool, pages, table, arena, slabOf } = openRegions({
      budgetBytes: 64 * MiB,
      slabBytes: 4 * pageBytes,
    });
    const fill = (slabs: number): void => {
      while (pool.slabs.length < slabs) heap.alloc({ byteLength: pageBytes });
    };
    fill(31);
    while (pool.freeBytes > 0) heap.alloc({ byteLength: pageBytes });
    const other = new DeviceArena(pages, table, () => {});
    for (const [region, index, avoid] of [
      [arena, 31, -1],
      [other, 32, 1],
    ] as const) {
      fill(index + 1);
      const first = region.alloc({ byteLength: 1000 });
      expect(slabOf(first).index).toBe(index);
      // There is room for another page, and it is not taken.
      expect(slabOf(region.alloc({ byteLength: 1000 }, avoid)).index).toBe(index);
      expect(region.stats().reservedBytes).toBe(pageBytes);
    }
  });

  test("gives nothing of a full page to the open one before it", () => {
    const { heap, arena } = openRegions();
    const low = heap.alloc({ byteLength: pageBytes });
    const half = pageBytes / 2;
    const first = arena.alloc({ byteLength: half });
    arena.alloc({ byteLength: half / 2 });
    heap.free(low);
    // The open page lies before the full one now, and they touch.
    const next = arena.alloc({ byteLength: half });
    expect([first.byteOffset, next.byteOffset]).toEqual([pageBytes, 0]);
    expect(arena.stats().deferredBytes).toBe(half / 2);
    arena.free(first);
    expect(arena.stats().deferredBytes).toBe(half / 2 + half);
    expect(arena.alloc({ byteLength: half }).byteOffset).toBe(half);
    arena.end();
    expect(figures(arena)).toEqual([0, 0, 0, 0]);
  });

  test("takes the bytes of a block whose slab is gone for nobody's of the slab with its index", async () => {
    const { arena, device, table, slabOf } = openRegions();
    const half = pageBytes / 2;
    device.faults.failAfter("createBuffer", 1);
    const lost = arena.alloc({ byteLength: half, label: "lost" });
    const gone = slabOf(lost);
    // Another page, so that the first is full.
    arena.alloc({ byteLength: half / 2 });
    arena.alloc({ byteLength: half });
    await settle();
    expect([gone.failure === null, table.node[lost.row]]).toEqual([false, lostNode]);
    const next = arena.alloc({ byteLength: half, label: "next" });
    expect([slabOf(next).index, next.byteOffset]).toEqual([gone.index, lost.byteOffset]);
    const { deferredBytes } = arena.stats();
    arena.free(lost);
    expect(arena.stats().deferredBytes).toBe(deferredBytes + half);
    expect(arena.alloc({ byteLength: half }).byteOffset).toBe(half);
  });

  test.each([null, new DeviceError("DEVICE_LOST", "gone")])(
    "gives no page back to a slab that went, %s",
    (failure) => {
      const { arena, heap, pool } = openRegions();
      for (const byteLength of [1000, pageBytes]) arena.alloc({ byteLength });
      pool.close(failure);
      arena.end();
      expect([figures(arena), figures(heap)]).toEqual([
        [0, 0, 0, 0],
        [0, 0, 0, 0],
      ]);
    },
  );
});
