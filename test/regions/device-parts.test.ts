/** The device's regions from within: what is resized in place, waited for, leased, and given back early. */

import { describe, expect, test } from "vitest";

import type { DeviceAllocation } from "../../src/device/memory/block-table.ts";
import type { DeviceArena } from "../../src/device/memory/device-arena.ts";
import { DeviceError, KiB, MiB } from "../../src/index.ts";
import { openSimulated } from "../simulated/open-simulated.ts";
import { caught, codeOf, rejected } from "../support/caught.ts";
import { partsOf } from "./device-subject.ts";
import type { Parts } from "./device-subject.ts";

const page = 256 * KiB;

async function open(slabs = 4): Promise<Parts & { readonly close: () => Promise<void> }> {
  const { runtime } = await openSimulated({
    budget: { deviceBytes: slabs * MiB },
    slabBytes: MiB,
    onError: () => {},
    onLeak: () => {},
  });
  return { ...partsOf(runtime), close: () => runtime.dispose() };
}

const sizes = (block: DeviceAllocation): unknown[] => {
  const { table, row } = block;
  return [block.byteLength, table.extent[row], block.byteOffset];
};

describe("the heap", () => {
  test("resizes in place where what lies behind is free, and the old handle is dead", async () => {
    const { context, runtime, close } = await open();
    const { heap, table } = context;
    const granule = context.pool.granuleBytes;
    // Work that waits for a slab would have blocks copied.
    await runtime.reserve(MiB);
    const a = heap.alloc({ byteLength: 1000, label: "a" });
    const offset = a.byteOffset;
    const seen: string[] = [];
    heap.observer = {
      allocated: (_region: unknown, _block: unknown, label: string, bytes: number) =>
        seen.push(`+${label} ${bytes}`),
      freed: () => seen.push("-"),
      endedAll: () => {},
    } as never;
    const b = heap.realloc(a, 5000);
    const extent = Math.ceil(5000 / granule) * granule;
    expect([a.isAlive, b.isAlive, b.label]).toEqual([false, true, "a"]);
    expect(sizes(b)).toEqual([5000, extent, offset]);
    expect(seen).toEqual(["-", "+a 5000"]);
    expect(heap.stats()).toMatchObject({
      liveBytes: 5000,
      paddingBytes: extent - 5000,
      allocationCount: 2,
      freeCount: 1,
    });
    const c = heap.realloc(b, 100);
    expect(sizes(c)).toEqual([100, Math.ceil(100 / granule) * granule, offset]);
    const wall = heap.alloc({ byteLength: 100, label: "wall" });
    const d = heap.realloc(c, 100_000);
    expect([c.isAlive, d.byteOffset === offset]).toEqual([false, false]);
    expect(caught(() => heap.realloc(c, 10)).code).toBe("USE_AFTER_DISPOSE");
    // A second owner knows the block by its handle: it is copied, and stays.
    table.references[d.row]!++;
    const e = heap.realloc(d, 50);
    expect([e.byteOffset === d.byteOffset, d.isAlive]).toEqual([false, true]);
    heap.isHolding = () => true;
    const f = heap.realloc(e, 60);
    expect([f.row === e.row && f.byteOffset === offset, e.isAlive]).toEqual([false, false]);
    heap.isHolding = () => false;
    for (const block of [d, f, wall]) heap.free(block);
    expect(heap.stats()).toMatchObject({ liveBytes: 0, paddingBytes: 0 });
    await close();
  });

  test("frees a block with its last owner", async () => {
    const { context, close } = await open();
    const { heap, table } = context;
    const a = heap.alloc({ byteLength: 1000 });
    table.references[a.row]!++;
    heap.free(a);
    expect([a.isAlive, heap.stats().liveBytes]).toEqual([true, 1000]);
    heap.free(a);
    expect([a.isAlive, heap.stats().liveBytes]).toEqual([false, 0]);
    expect(codeOf(() => heap.free(a))).toBe("DOUBLE_FREE");
    await close();
  });

  test("says what is free, in how many pieces, and what its tables take", async () => {
    const { context, runtime, close } = await open();
    const { heap, table, pool } = context;
    const granuleBytes = pool.granuleBytes;
    expect(heap.storage()).toEqual({
      freeBytes: 0,
      largestFreeBytes: 0,
      granuleBytes,
      histogram: [],
    });
    const blocks = Array.from({ length: 8 }, (_, index) =>
      heap.alloc({ byteLength: 64 * KiB, label: `${index}` }),
    );
    const wide = heap.alloc({ byteLength: 900 * KiB });
    for (const index of [1, 3]) heap.free(blocks[index]!);
    const storage = heap.storage();
    expect(storage).toMatchObject({
      freeBytes: 2 * 64 * KiB + 512 * KiB + 124 * KiB,
      largestFreeBytes: 512 * KiB,
    });
    const power = (bytes: number): number => Math.floor(Math.log2(bytes / granuleBytes));
    const histogram: number[] = [];
    for (const bytes of [64, 64, 512, 124])
      histogram[power(bytes * KiB)] = (histogram[power(bytes * KiB)] ?? 0) + 1;
    expect(storage.histogram).toEqual(Array.from(histogram, (count) => count ?? 0));
    expect(runtime.storage()).toEqual(storage);
    expect(heap.stats().metadataBytes).toBe(pool.metadataBytes + table.metadataBytes);
    expect(pool.metadataBytes).toBeGreaterThan(0);
    for (const block of [...blocks, wide]) if (block.isAlive) heap.free(block);
    await close();
  });

  test("waits for the device as long as that frees anything, and counts it", async () => {
    const { context, close } = await open(2);
    const { heap, pool } = context;
    const kept = [heap.alloc({ byteLength: MiB }), heap.alloc({ byteLength: MiB })];
    let waits = 0;
    heap.whenQuiet = async () => {
      waits++;
      const last = kept.pop();
      if (last !== undefined) heap.free(last);
    };
    const got = await heap.allocAsync({ byteLength: MiB, label: "got" });
    expect([got.byteLength, waits, kept.length, pool.ladder.counts().waited]).toEqual([
      MiB,
      1,
      1,
      1,
    ]);
    // What was given in the end was not refused.
    expect(heap.stats().failedCount).toBe(0);
    heap.whenQuiet = async () => void waits++;
    expect((await rejected(heap.allocAsync({ byteLength: MiB }))).code).toBe("OUT_OF_MEMORY");
    expect([waits, heap.stats().failedCount]).toEqual([2, 1]);
    expect((await rejected(heap.allocAsync({ byteLength: -1 }))).code).toBe("INVALID_ARGUMENT");
    expect([waits, pool.ladder.counts().waited]).toEqual([2, 2]);
    for (const block of [got, ...kept]) heap.free(block);
    await close();
  });

  test("forgets a slab with what is in it, and has a block back in another", async () => {
    const { context, runtime, close } = await open();
    const { heap, pool, table } = context;
    await runtime.reserve(MiB);
    const a = heap.alloc({ byteLength: 1000, label: "a" });
    const other = heap.alloc({ byteLength: MiB, label: "other" });
    const slab = pool.slab(table.slab[a.row]!);
    slab.failure = new DeviceError("DEVICE_LOST", "the device is lost");
    const reserved = heap.stats().reservedBytes;
    heap.forget(slab);
    expect(table.failures.get(a.key)).toBe(slab.failure);
    expect(table.failures.has(other.key)).toBe(false);
    expect(heap.stats().reservedBytes).toBe(reserved - slab.byteLength);
    expect(heap.stats().liveBytes).toBe(MiB);
    // Twice changes nothing of the blocks.
    heap.ledger.reserve(slab.byteLength);
    heap.forget(slab);
    expect(heap.stats().liveBytes).toBe(MiB);
    expect(heap.readmit(a)).toBeNull();
    expect([heap.stats().liveBytes, a.isAlive, table.extent[a.row]! >= 1000]).toEqual([
      MiB + 1000,
      true,
      true,
    ]);
    expect(pool.slab(table.slab[a.row]!)).not.toBe(slab);
    heap.free(a);
    heap.free(other);
    expect(heap.stats()).toMatchObject({ liveBytes: 0, paddingBytes: 0 });
    await close();
  });

  test("a block that finds no room again says so, and stays lost", async () => {
    const { context, close } = await open(1);
    const { heap, pool, table } = context;
    const a = heap.alloc({ byteLength: MiB / 2, label: "a" });
    const slab = pool.slab(table.slab[a.row]!);
    heap.forget(slab);
    heap.ledger.reserve(slab.byteLength);
    const wide = heap.alloc({ byteLength: MiB / 2, label: "wide" });
    expect(heap.readmit(a)).toMatchObject({ code: "OUT_OF_MEMORY", label: "a" });
    expect(a.isAlive).toBe(true);
    heap.free(wide);
    heap.free(a);
    expect(a.isAlive).toBe(false);
    await close();
  });
});

describe("an arena", () => {
  const arenaOf = ({ context }: Parts): DeviceArena => context.arena("arena");

  test("leases pages, gives large blocks one of their own, and gives all back at its end", async () => {
    const parts = await open();
    const { context, close } = parts;
    const arena = arenaOf(parts);
    const [a, b] = [
      arena.alloc({ byteLength: 1000, label: "a" }),
      arena.alloc({ byteLength: 2000, label: "b" }),
    ];
    expect(arena.stats()).toMatchObject({ liveBytes: 3000, reservedBytes: page });
    expect(a.byteOffset).toBe(0);
    expect(b.byteOffset).toBe(context.table.extent[a.row]);
    // Half a page is small; more than that is not.
    const half = arena.alloc({ byteLength: page / 2 });
    expect(arena.stats().reservedBytes).toBe(page);
    const large = arena.alloc({ byteLength: page / 2 + 1 });
    expect(arena.stats().reservedBytes).toBe(page + context.table.extent[large.row]!);
    arena.free(large);
    expect(arena.stats().reservedBytes).toBe(page);
    const again = arena.alloc({ byteLength: 600 * KiB });
    const slab = context.pool.slab(context.table.slab[again.row]!);
    expect(slab.leasedBytes).toBeGreaterThanOrEqual(600 * KiB);
    arena.end();
    expect([arena.ended, a.isAlive, half.isAlive, again.isAlive, slab.leasedBytes]).toEqual([
      true,
      false,
      false,
      false,
      0,
    ]);
    expect(arena.stats()).toMatchObject({
      liveBytes: 0,
      reservedBytes: 0,
      deferredBytes: 0,
      paddingBytes: 0,
    });
    arena.end();
    expect(caught(() => arena.alloc({ byteLength: 1, label: "late" }))).toMatchObject({
      code: "SCOPE_ENDED",
      label: "late",
    });
    expect(context.pool.emptyBytes).toBe(context.pool.reservedBytes);
    await close();
  });

  test("has early bytes back: off the end of its page, or as a hole", async () => {
    const parts = await open();
    const { context, close } = parts;
    const arena = arenaOf(parts);
    const granule = context.pool.granuleBytes;
    const blocks = Array.from({ length: 5 }, (_, index) =>
      arena.alloc({ byteLength: 4 * granule, label: `${index}` }),
    );
    const offsets = blocks.map((block) => block.byteOffset);
    arena.free(blocks[4]!);
    const end = arena.alloc({ byteLength: 4 * granule });
    expect(end.byteOffset).toBe(offsets[4]);
    arena.free(blocks[1]!);
    arena.free(blocks[2]!);
    expect(arena.stats().deferredBytes).toBe(0);
    const wide = arena.alloc({ byteLength: 8 * granule });
    expect(wide.byteOffset).toBe(offsets[1]);
    context.table.references[wide.row]!++;
    arena.free(wide);
    expect(wide.isAlive).toBe(true);
    arena.free(wide);
    expect(wide.isAlive).toBe(false);
    // A hole before the end goes with the end.
    arena.free(blocks[3]!);
    arena.free(end);
    expect(arena.alloc({ byteLength: 10 * granule }).byteOffset).toBe(offsets[1]);
    arena.end();
    await close();
  });

  test("more holes than a page remembers wait for the end", async () => {
    const parts = await open();
    const arena = arenaOf(parts);
    const granule = parts.context.pool.granuleBytes;
    const blocks = Array.from({ length: 40 }, () => arena.alloc({ byteLength: granule }));
    for (let at = 0; at < 36; at += 2) arena.free(blocks[at]!);
    expect(arena.stats().deferredBytes).toBe(2 * granule);
    arena.end();
    expect(arena.stats()).toMatchObject({ reservedBytes: 0, deferredBytes: 0 });
    await parts.close();
  });

  test("one page to a slab is open; what is left of another waits", async () => {
    const parts = await open(1);
    const arena = arenaOf(parts);
    const granule = parts.context.pool.granuleBytes;
    const first = [arena.alloc({ byteLength: 100 * KiB }), arena.alloc({ byteLength: 100 * KiB })];
    arena.free(first[0]!);
    // Not in the hole, not behind: another page of the same slab.
    const second = arena.alloc({ byteLength: 128 * KiB });
    expect(arena.stats()).toMatchObject({
      reservedBytes: 2 * page,
      deferredBytes: page - 100 * KiB,
    });
    const small = arena.alloc({ byteLength: granule });
    expect(small.byteOffset).toBe(second.byteOffset + 128 * KiB);
    arena.free(first[1]!);
    expect(arena.stats().deferredBytes).toBe(page);
    arena.end();
    expect(arena.stats()).toMatchObject({ reservedBytes: 0, deferredBytes: 0 });
    await parts.close();
  });

  test("keeps apart from what is avoided, with a page open in each slab", async () => {
    const parts = await open();
    const { context, close } = parts;
    const arena = arenaOf(parts);
    const slabOf = (block: DeviceAllocation): number => context.table.slab[block.row]!;
    const a = arena.alloc({ byteLength: 1000 });
    const b = arena.alloc({ byteLength: 1000 }, 1 << slabOf(a));
    expect(slabOf(b)).not.toBe(slabOf(a));
    expect(slabOf(arena.alloc({ byteLength: 1000 }, 1 << slabOf(b)))).toBe(slabOf(a));
    expect(slabOf(arena.alloc({ byteLength: 1000 }, 1 << slabOf(a)))).toBe(slabOf(b));
    expect(arena.stats().reservedBytes).toBe(2 * page);
    const c = arena.alloc({ byteLength: 1000 }, 0b11);
    expect(slabOf(c)).toBe(2);
    // Avoiding all three is not worth a fourth.
    expect(slabOf(arena.alloc({ byteLength: 1000 }, 0b111))).toBe(slabOf(a));
    expect(arena.stats().reservedBytes).toBe(3 * page);
    arena.end();
    await close();
  });

  test("a page that fills to the byte is used to the byte", async () => {
    const parts = await open();
    const arena = arenaOf(parts);
    const first = arena.alloc({ byteLength: 128 * KiB });
    const rest = arena.alloc({ byteLength: 128 * KiB });
    expect([rest.byteOffset, arena.stats().reservedBytes]).toEqual([
      first.byteOffset + 128 * KiB,
      page,
    ]);
    arena.free(first);
    const again = arena.alloc({ byteLength: 128 * KiB });
    expect([again.byteOffset, arena.stats().reservedBytes]).toEqual([0, page]);
    arena.end();
    await parts.close();
  });

  test("what is taken of a hole, even of one at the start, is not taken off the rest too", async () => {
    const parts = await open();
    const arena = arenaOf(parts);
    const [first] = [arena.alloc({ byteLength: 64 * KiB }), arena.alloc({ byteLength: 64 * KiB })];
    arena.free(first);
    expect(arena.alloc({ byteLength: 64 * KiB }).byteOffset).toBe(0);
    expect(arena.alloc({ byteLength: 64 * KiB }).byteOffset).toBe(128 * KiB);
    arena.end();
    await parts.close();
  });

  test("what is freed goes back to the page that it came from", async () => {
    const parts = await open();
    const arena = arenaOf(parts);
    const a = arena.alloc({ byteLength: 1000 });
    const b = arena.alloc({ byteLength: 1000 }, 1 << parts.context.table.slab[a.row]!);
    expect(b.byteOffset).toBe(a.byteOffset);
    arena.free(b);
    // Not where the other page has a block that lives.
    expect(arena.alloc({ byteLength: 1000 }).byteOffset).toBe(parts.context.table.extent[a.row]);
    arena.end();
    await parts.close();
  });

  test("nothing is taken of a slab that is gone, and nothing given back to it", async () => {
    const parts = await open();
    const { context, close } = parts;
    const arena = arenaOf(parts);
    const a = arena.alloc({ byteLength: 1000, label: "a" });
    const lost = context.pool.slab(context.table.slab[a.row]!);
    lost.failure = new DeviceError("DEVICE_LOST", "gone");
    const b = arena.alloc({ byteLength: 1000, label: "b" });
    expect(context.table.slab[b.row]).not.toBe(lost.index);
    const blocks = lost.allocator.blockCount;
    arena.end();
    expect([lost.leasedBytes, lost.allocator.blockCount]).toEqual([0, blocks]);
    lost.failure = null;
    await close();
  });
});
