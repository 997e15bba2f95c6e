/** The device's regions by themselves, over a pool on a simulated device: no stream, and copies are only noted. */

import { BlockTable } from "../../src/device/memory/block-table.ts";
import type { DeviceAllocation } from "../../src/device/memory/block-table.ts";
import { DeviceArena } from "../../src/device/memory/device-arena.ts";
import { DeviceHeap } from "../../src/device/memory/device-heap.ts";
import { DevicePagePool } from "../../src/device/memory/device-pages.ts";
import type { SlabPoolOptions } from "../../src/device/memory/slab-pool.ts";
import type { Slab } from "../../src/device/memory/slab.ts";
import { KiB } from "../../src/index.ts";
import { open } from "./slab-parts.ts";
import type { Opened } from "./slab-parts.ts";

export const pageBytes = 64 * KiB;

export interface Regions extends Opened {
  readonly table: BlockTable;
  readonly heap: DeviceHeap;
  readonly pages: DevicePagePool;
  readonly arena: DeviceArena;
  /** The copies so far: from where, to where, and how many bytes. */
  readonly copies: [DeviceAllocation, DeviceAllocation, number][];
  /** Throws what a copy throws, where it is set. */
  readonly onCopy: { action: () => void };
  readonly slabOf: (block: DeviceAllocation) => Slab;
}

export function openRegions(options: Partial<SlabPoolOptions> = {}): Regions {
  const opened = open(options);
  const { pool } = opened;
  const table = new BlockTable();
  const copies: Regions["copies"] = [];
  const onCopy = { action: () => {} };
  const copy = (...parts: Regions["copies"][number]): void => {
    onCopy.action();
    copies.push(parts);
  };
  const heap = new DeviceHeap(pool, table, copy);
  const pages = new DevicePagePool(pool, heap, pageBytes);
  const arena = new DeviceArena(pages, table, copy, "arena");
  pool.onReserve = (slab) => heap.ledger.reserve(slab.byteLength);
  pool.onDestroy = (slab) => heap.forget(slab);
  const slabOf = ({ row }: DeviceAllocation): Slab => pool.slab(table.slab[row]!);
  return { ...opened, table, heap, pages, arena, copies, onCopy, slabOf };
}

/** Live, padding, deferred and reserved bytes. */
export function figures(region: DeviceArena | DeviceHeap): number[] {
  const { liveBytes, paddingBytes, deferredBytes, reservedBytes } = region.stats();
  return [liveBytes, paddingBytes, deferredBytes, reservedBytes];
}
