/** What a runtime holds, by label: for reports, for errors, and for the end of a scope. */

import type { Diagnostics } from "../host/diagnostics/diagnostics.ts";
import type { PinnedBlock } from "../host/pinned/pinned-block.ts";
import type { PinnedHeap } from "../host/pinned/pinned-heap.ts";
import { DeviceAllocation } from "./memory/block-table.ts";
import type { BlockTable } from "./memory/block-table.ts";
import type { DeviceHeap } from "./memory/device-heap.ts";

/** Something that is still allocated. */
export interface LiveAllocation {
  readonly label: string;
  readonly region: string;
  readonly byteLength: number;
  /** Since when, where the runtime has diagnostics. */
  readonly ageMs?: number;
  /** Where it was made, where the runtime's diagnostics sampled it. */
  readonly stack?: string | undefined;
}

/** Where a runtime's allocations are known. */
export interface Holdings {
  readonly table: BlockTable;
  readonly heap: DeviceHeap;
  readonly pinned: PinnedHeap;
  readonly diagnostics: Diagnostics | null;
}

/** An allocation that lives until it is disposed. */
export type LongLived = DeviceAllocation | PinnedBlock;

/** What lives outside of scopes, and has not been disposed. O(live). */
export function longLived(holdings: Holdings): LongLived[] {
  const { table, heap } = holdings;
  const onHeap = Array.from(table.live()).filter(
    (block) => block.region === heap && !table.isBorrowedOnly(block),
  );
  const pinned = Array.from(holdings.pinned.blocks()).filter(({ isInternal }) => !isInternal);
  return [...onHeap, ...pinned];
}

export function describe(holdings: Holdings, allocation: LongLived): LiveAllocation {
  const { label, byteLength } = allocation;
  const region = allocation instanceof DeviceAllocation ? allocation.region : holdings.pinned;
  const origin = holdings.diagnostics?.originOf(region, allocation);
  return { label, region: region.label, byteLength, ...origin };
}

/** What lives until it is disposed or its scope ends. O(live). */
export function liveAllocations(holdings: Holdings): LiveAllocation[] {
  const { table, pinned } = holdings;
  // What shows another's memory has none of its own.
  const own = Array.from(table.live()).filter((block) => table.ownerOf(block) === undefined);
  const all: LongLived[] = [...own, ...pinned.blocks()];
  return all.map((allocation) => describe(holdings, allocation));
}
