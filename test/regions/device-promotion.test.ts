/** What an arena hands over to the heap: bytes, handles and counts, in every order of their ends. */

import { describe, expect, test } from "vitest";

import { lostNode } from "../../src/device/memory/block-table.ts";
import type { DeviceAllocation } from "../../src/device/memory/block-table.ts";
import { OutOfMemoryError, MiB } from "../../src/index.ts";
import { codeOf } from "../support/caught.ts";
import { figures, openRegions, pageBytes } from "./device-regions.ts";
import type { Regions } from "./device-regions.ts";
import { settle } from "./slab-parts.ts";

const none = [0, 0, 0, 0];

/** Where a block is: its slab, offset and extent. */
function placeOf({ table }: Regions, { row }: DeviceAllocation): unknown[] {
  return [table.slab[row], table.offset[row], table.extent[row]];
}

/** Together, regions have what the slabs have. */
function expectAllCounted({ heap, pages, pool }: Regions): void {
  expect(heap.stats().reservedBytes + pages.ledger.reserved).toBe(pool.reservedBytes);
  const { reservedBytes, liveBytes, paddingBytes, freeBytes } = heap.stats();
  expect(liveBytes + paddingBytes + freeBytes).toBe(reservedBytes);
}

describe("a block with a page of its own", () => {
  const byteLength = pageBytes + 100;
  const request = { byteLength, label: "x" };

  test("is handed over where it is, and nothing is copied", () => {
    const regions = openRegions();
    const { arena, heap, pages, pool, table, copies, slabOf } = regions;
    const x = arena.alloc(request);
    const [place, extent] = [placeOf(regions, x), table.extent[x.row]!];
    expect(figures(arena)).toEqual([byteLength, extent - byteLength, 0, extent]);
    const kept = arena.promote(x, "kept");
    expect([kept.label, kept.byteLength, kept.region]).toEqual(["kept", byteLength, heap]);
    expect([placeOf(regions, kept), placeOf(regions, x)]).toEqual([place, place]);
    expect([copies, table.isSame(x, kept), slabOf(kept).leasedBytes]).toEqual([[], true, 0]);
    expect([table.references[kept.row], table.isLent(kept)]).toEqual([2, true]);
    expect(figures(arena)).toEqual(none);
    expect(figures(heap)).toEqual([byteLength, extent - byteLength, 0, MiB]);
    expect([pages.ledger.reserved, arena.stats().freeCount]).toEqual([0, 1]);
    expectAllCounted(regions);
    arena.end();
    expect([x.isAlive, kept.isAlive, table.isLent(kept)]).toEqual([false, true, false]);
    expect([table.references[kept.row], arena.stats().freeCount]).toEqual([1, 1]);
    expect(figures(heap)).toEqual([byteLength, extent - byteLength, 0, MiB]);
    heap.free(kept);
    expect([figures(heap), pool.emptyBytes]).toEqual([[0, 0, 0, MiB], MiB]);
  });

  test("is handed over where it is although it is lent: there it stays", () => {
    const regions = openRegions();
    const { arena, heap, table, copies } = regions;
    const x = arena.alloc(request);
    table.lend(x, 1);
    const kept = arena.promote(x, "kept");
    expect([copies, table.isSame(x, kept)]).toEqual([[], true]);
    table.lend(x, -1);
    arena.end();
    heap.free(kept);
    expectAllCounted(regions);
  });

  test("is handed over although the heap has no room for another", () => {
    const regions = openRegions({ budgetBytes: MiB });
    const { arena, heap, pool } = regions;
    const x = arena.alloc(request);
    heap.alloc({ byteLength: pool.freeBytes });
    expect(arena.promote(x, "kept").byteLength).toBe(byteLength);
    expectAllCounted(regions);
  });
});

describe("a small block", () => {
  const request = { byteLength: 1000, label: "x" };

  test("that is lent stays where somebody knows it to be: who keeps it has a copy", () => {
    const regions = openRegions();
    const { arena, heap, table, copies } = regions;
    const x = arena.alloc(request);
    const before = placeOf(regions, x);
    table.lend(x, 1);
    const kept = arena.promote(x, "kept");
    expect(copies).toEqual([[x, kept, 1000]]);
    expect([placeOf(regions, x), table.isSame(x, kept), table.ownerOf(x)]).toEqual([
      before,
      false,
      undefined,
    ]);
    expect([arena.stats().liveBytes, heap.stats().liveBytes]).toEqual([1000, 1000]);
    table.lend(x, -1);
    arena.end();
    expect([x.isAlive, kept.isAlive]).toEqual([false, true]);
    heap.free(kept);
    expectAllCounted(regions);
  });

  test("that is lost has nothing to hand over: who keeps it has a block of as many bytes", () => {
    const regions = openRegions();
    const { arena, heap, table, copies } = regions;
    const x = arena.alloc(request);
    const node = table.node[x.row]!;
    table.node[x.row] = lostNode;
    const kept = arena.promote(x, "kept");
    expect([copies, kept.byteLength, kept.region, table.ownerOf(x)]).toEqual([
      [],
      1000,
      heap,
      undefined,
    ]);
    table.node[x.row] = node;
    arena.end();
    heap.free(kept);
    expectAllCounted(regions);
  });

  test("is copied, and the arena's next block takes what it left", () => {
    const regions = openRegions();
    const { arena, heap, table, copies, pool } = regions;
    const x = arena.alloc(request);
    const [before, extent] = [placeOf(regions, x), table.extent[x.row]!];
    const kept = arena.promote(x, "kept");
    expect(copies).toEqual([[x, kept, 1000]]);
    expect(placeOf(regions, kept)).not.toEqual(before);
    expect(placeOf(regions, x)).toEqual(placeOf(regions, kept));
    expect(figures(arena)).toEqual([0, 0, 0, pageBytes]);
    expect(figures(heap)).toEqual([1000, extent - 1000, 0, pool.reservedBytes - pageBytes]);
    expectAllCounted(regions);
    const next = arena.alloc(request);
    expect([placeOf(regions, next), table.isSame(next, x)]).toEqual([before, false]);
    // The end of the block that borrows gives nothing back a second time.
    arena.free(x);
    expect(arena.alloc(request).byteOffset).toBe(extent);
    expect(arena.stats()).toMatchObject({ liveBytes: 2000, deferredBytes: 0 });
    heap.free(kept);
    arena.end();
    expectAllCounted(regions);
  });

  test("leaves bytes that wait for the end where its page is full", () => {
    const regions = openRegions();
    const { arena, heap } = regions;
    const half = pageBytes / 2;
    const x = arena.alloc({ byteLength: half });
    arena.alloc({ byteLength: half / 2 });
    arena.alloc({ byteLength: half });
    expect(arena.stats().deferredBytes).toBe(half / 2);
    const kept = arena.promote(x, "kept");
    expect(figures(arena)).toEqual([half * 1.5, 0, half * 1.5, 2 * pageBytes]);
    arena.end();
    expect([figures(arena), heap.stats().liveBytes]).toEqual([none, half]);
    heap.free(kept);
    expectAllCounted(regions);
  });

  test.each([
    [
      "what a copy throws",
      (regions: Regions) => {
        regions.onCopy.action = () => {
          throw new RangeError("no copy");
        };
        return RangeError;
      },
    ],
    [
      "a heap without room",
      ({ heap, pool }: Regions) => {
        heap.alloc({ byteLength: pool.freeBytes });
        return OutOfMemoryError;
      },
    ],
  ])("stays what it was after %s", (_, spoil) => {
    const regions = openRegions({ budgetBytes: MiB });
    const { arena, heap, table, onCopy, copies } = regions;
    const x = arena.alloc(request);
    const kind = spoil(regions);
    const [before, counts] = [placeOf(regions, x), [figures(arena), figures(heap)]];
    expect(() => arena.promote(x, "kept")).toThrow(kind);
    expect(placeOf(regions, x)).toEqual(before);
    expect([figures(arena), figures(heap)]).toEqual(counts);
    expect([copies, [...table.live()].filter(({ label }) => label === "kept")]).toEqual([[], []]);
    onCopy.action = () => {};
    const other = arena.alloc({ byteLength: 10 });
    expect(table.isSame(other, x)).toBe(false);
    arena.free(x);
    arena.end();
    expect([figures(arena), figures(heap)[0]]).toEqual([none, counts[1]![0]]);
    expectAllCounted(regions);
  });
});

describe.each([
  { what: "with a page of its own", byteLength: pageBytes, copied: 0 },
  { what: "that is small", byteLength: 1000, copied: 1 },
])("a promoted block $what", ({ byteLength, copied }) => {
  const request = { byteLength, label: "x" };

  test("is promoted once, however often it is asked for", () => {
    const regions = openRegions();
    const { arena, heap, table, copies } = regions;
    const x = arena.alloc(request);
    const kept = arena.promote(x, "kept");
    const counts = [figures(arena), figures(heap)];
    expect(arena.promote(x, "again")).toBe(kept);
    expect([figures(arena), figures(heap)]).toEqual(counts);
    expect([table.references[kept.row], copies.length]).toEqual([3, copied]);
    heap.free(kept);
    arena.end();
    expect([kept.isAlive, table.references[kept.row]]).toEqual([true, 1]);
    heap.free(kept);
    expect([kept.isAlive, heap.stats().liveBytes]).toEqual([false, 0]);
    expectAllCounted(regions);
  });

  test("lives while the arena shows it, though the heap's handle was disposed", () => {
    const regions = openRegions();
    const { arena, heap, table } = regions;
    const x = arena.alloc(request);
    const kept = arena.promote(x, "kept");
    heap.free(kept);
    expect([x.isAlive, heap.stats().liveBytes, table.references[kept.row]]).toEqual([
      true,
      byteLength,
      1,
    ]);
    // Whoever asks again has it again.
    expect(arena.promote(x, "again")).toBe(kept);
    heap.free(kept);
    arena.free(x);
    expect([x.isAlive, kept.isAlive, heap.stats().liveBytes]).toEqual([false, false, 0]);
    expect(codeOf(() => arena.promote(x, "late"))).toBe("USE_AFTER_DISPOSE");
    expect(codeOf(() => arena.free(x))).toBe("DOUBLE_FREE");
    arena.end();
    expectAllCounted(regions);
  });

  test("lives on when the arena's handle was disposed, and may move then", () => {
    const regions = openRegions();
    const { arena, heap, table } = regions;
    const x = arena.alloc(request);
    const kept = arena.promote(x, "kept");
    table.references[x.row]!++;
    arena.free(x);
    expect([x.isAlive, table.isLent(kept)]).toEqual([true, true]);
    arena.free(x);
    expect([x.isAlive, kept.isAlive, table.isLent(kept)]).toEqual([false, true, false]);
    // Its row is another's now, who has nothing to do with the heap's block.
    const next = arena.alloc(request);
    expect(next.row).toBe(x.row);
    arena.free(next);
    arena.end();
    expect([kept.isAlive, heap.stats().liveBytes]).toEqual([true, byteLength]);
    heap.free(kept);
    expectAllCounted(regions);
  });

  test("is resized by a copy while the arena shows it, and then in place", () => {
    const regions = openRegions();
    const { arena, heap, table, copies } = regions;
    const x = arena.alloc(request);
    const kept = arena.promote(x, "kept");
    const larger = heap.realloc(kept, byteLength + 1000);
    expect([copies.length, table.isSame(larger, x), x.isAlive]).toEqual([copied + 1, false, true]);
    expect(heap.stats().liveBytes).toBe(2 * byteLength + 1000);
    arena.end();
    expect(heap.stats().liveBytes).toBe(byteLength + 1000);
    heap.realloc(larger, byteLength);
    expect([copies.length, heap.stats().liveBytes]).toEqual([copied + 1, byteLength]);
    expectAllCounted(regions);
  });

  test("is told to have ended in the arena and begun in the heap, and to have ended there", () => {
    const { arena, heap } = openRegions();
    const seen: string[] = [];
    const observer = {
      allocated: ({ label }: { label: string }, _: unknown, name: string) =>
        seen.push(`+${name} in ${label}`),
      freed: ({ label }: { label: string }, block: unknown) =>
        seen.push(`-${(block as DeviceAllocation).label} in ${label}`),
      endedAll: ({ label }: { label: string }) => seen.push(`end of ${label}`),
    };
    arena.observer = heap.observer = observer;
    const [x, y] = [arena.alloc(request), arena.alloc({ ...request, label: "y" })];
    const kept = [arena.promote(x, "kept x"), arena.promote(y, "kept y")];
    expect(seen.splice(0).toSorted()).toEqual([
      "+kept x in device heap",
      "+kept y in device heap",
      "+x in arena",
      "+y in arena",
      "-x in arena",
      "-y in arena",
    ]);
    arena.free(x);
    heap.free(kept[1]!);
    expect(seen.splice(0)).toEqual([]);
    arena.end();
    heap.free(kept[0]!);
    expect(seen).toEqual(["end of arena", "-kept y in device heap", "-kept x in device heap"]);
  });

  test("is lost with a slab that the platform refuses, and leaves nothing", async () => {
    const regions = openRegions();
    const { arena, heap, table, device, pool } = regions;
    device.faults.failAfter("createBuffer", 1);
    const x = arena.alloc(request);
    const kept = arena.promote(x, "kept");
    const { failure } = pool.slab(table.slab[kept.row]!);
    expect(failure).toBeNull();
    const later = arena.alloc({ byteLength: 10 });
    await settle();
    expect(figures(heap)[0]).toBe(0);
    expect(table.failures.get(kept.key)).toBeInstanceOf(OutOfMemoryError);
    heap.free(kept);
    arena.free(later);
    arena.end();
    expect([kept.isAlive, figures(arena)]).toEqual([false, none]);
    expectAllCounted(regions);
  });
});
