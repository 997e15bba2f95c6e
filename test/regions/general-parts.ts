/** A general heap's parts by themselves, blocks laid in them by hand, and the check that all is counted. */

import { expect } from "vitest";

import { closeRegion, Evacuator } from "../../src/host/general/evacuator.ts";
import type { EvacuatorOptions } from "../../src/host/general/evacuator.ts";
import { HandleTable } from "../../src/host/general/handle-table.ts";
import type { HeapRegion, RegionRole } from "../../src/host/general/heap-region.ts";
import { PinnedBlocks } from "../../src/host/general/pinned-blocks.ts";
import { RegionSet } from "../../src/host/general/region-set.ts";
import type { RegionSetOptions } from "../../src/host/general/region-set.ts";
import { RegionLedger } from "../../src/host/statistics.ts";
import { pattern } from "./subject.ts";

export const KiB = 1024;
/** Bytes of a region. */
export const R = 16 * KiB;
export const never = (): boolean => false;
export const always = (): boolean => true;

export interface Parts {
  readonly ledger: RegionLedger;
  readonly table: HandleTable;
  readonly regions: RegionSet;
  readonly evacuator: Evacuator;
  readonly pinned: PinnedBlocks;
}

export function open(options: Partial<RegionSetOptions & EvacuatorOptions> = {}): Parts {
  const all = {
    regionBytes: R,
    budgetBytes: 32 * R,
    cacheBytes: 32 * R,
    growth: 0,
    promotionAge: 2,
    youngRegions: 0,
    evacuateBelow: 0.5,
    ...options,
  };
  const ledger = new RegionLedger("general");
  const table = new HandleTable();
  const regions = new RegionSet(ledger, all);
  const evacuator = new Evacuator(table, regions, ledger, all, () => {});
  return {
    ledger,
    table,
    regions,
    evacuator,
    pinned: new PinnedBlocks(table, regions, evacuator, ledger),
  };
}

/** A block behind the others of a region, with bytes that its entry names. */
export function put(
  { table, ledger }: Parts,
  region: HeapRegion,
  byteLength: number,
  alignment = 8,
): number {
  const index = table.take("block");
  const start = region.used;
  const offset = Math.ceil(start / alignment) * alignment;
  const padding = offset - start;
  table.region[index] = region.id;
  table.offset[index] = offset;
  table.byteLength[index] = byteLength;
  table.padding[index] = padding;
  table.alignment[index] = alignment;
  region.place(index, offset + byteLength, padding + byteLength);
  ledger.allocated(byteLength, padding);
  region.bytes.set(pattern(byteLength, index), offset);
  return index;
}

/** A block ends: its bytes are dead. */
export function end({ table, ledger, regions }: Parts, index: number): void {
  const region = regions.region(table.region[index]!);
  const taken = table.byteLength[index]! + table.padding[index]!;
  ledger.freed(table.byteLength[index]!, table.padding[index]!);
  ledger.defer(taken);
  region.liveBytes -= taken;
  region.deadBytes += taken;
  table.release(index);
}

export function regionOf({ table, regions }: Parts, index: number): HeapRegion {
  return regions.region(table.region[index]!);
}

/** A region of a role with blocks of so many bytes; with nothing more to come, where it is closed. */
export function filled(
  parts: Parts,
  role: RegionRole,
  sizes: readonly number[],
  isClosed = true,
): number[] {
  const region = parts.regions.take(role, "test");
  const blocks = sizes.map((size) => put(parts, region, size));
  if (isClosed) closeRegion(region, parts.ledger);
  return blocks;
}

/** Every byte is where the table says, and everything is counted where it is. */
export function check(parts: Parts, blocks: readonly number[]): void {
  const { table, ledger, regions } = parts;
  let [live, padding, dead] = [0, 0, 0];
  for (const region of regions.inUse()) {
    const own = blocks.filter((index) => table.region[index] === region.id);
    const taken = own.map((index) => table.byteLength[index]! + table.padding[index]!);
    expect(region.liveBytes).toBe(taken.reduce((sum, bytes) => sum + bytes, 0));
    expect(region.used).toBe(region.liveBytes + region.deadBytes);
    const pins = own.map((index, at) => (table.pins[index]! > 0 ? taken[at]! : 0));
    expect(region.pinnedBytes).toBe(pins.reduce((sum, bytes) => sum + bytes, 0));
    dead += region.deadBytes;
  }
  for (const index of blocks) {
    const { bytes } = regionOf(parts, index);
    const [offset, byteLength] = [table.offset[index]!, table.byteLength[index]!];
    expect(offset % table.alignment[index]!).toBe(0);
    expect(bytes.subarray(offset, offset + byteLength)).toEqual(pattern(byteLength, index));
    live += byteLength;
    padding += table.padding[index]!;
  }
  expect(ledger.balance()).toMatchObject({
    liveBytes: live,
    paddingBytes: padding,
    deferredBytes: dead,
  });
}
