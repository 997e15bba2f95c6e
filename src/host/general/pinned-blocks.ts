/**
 * Which blocks of a general heap may not move. A block is pinned where it lies; one that is pinned for
 * long is moved to a region of such blocks first, and keeps no other block's region from being emptied.
 */

import type { RegionLedger } from "../statistics.ts";
import { closeRegion, fits } from "./evacuator.ts";
import type { Evacuator } from "./evacuator.ts";
import type { HandleTable } from "./handle-table.ts";
import type { HeapRegion } from "./heap-region.ts";
import type { RegionSet } from "./region-set.ts";

export class PinnedBlocks {
  /** The one that has room. */
  region: HeapRegion | null = null;
  readonly #table: HandleTable;
  readonly #regions: RegionSet;
  readonly #evacuator: Evacuator;
  readonly #ledger: RegionLedger;

  constructor(table: HandleTable, regions: RegionSet, evacuator: Evacuator, ledger: RegionLedger) {
    this.#table = table;
    this.#regions = regions;
    this.#evacuator = evacuator;
    this.#ledger = ledger;
  }

  pin(index: number): void {
    if (this.#table.pins[index] === 0) this.#count(index, 1);
    this.#table.pins[index]!++;
  }

  unpin(index: number): void {
    this.#table.pins[index]!--;
    if (this.#table.pins[index]! > 0) return;
    this.#count(index, -1);
    this.#release(this.#regions.region(this.#table.region[index]!));
  }

  /** A region of pinned blocks that none is left in is one of old blocks, and is emptied as those are. */
  #release(region: HeapRegion): void {
    if (region.role !== "pinned" || region === this.region || region.pinnedBytes > 0) return;
    region.role = "old";
  }

  #count(index: number, sign: 1 | -1): void {
    const region = this.#regions.region(this.#table.region[index]!);
    region.pinnedBytes += sign * (this.#table.byteLength[index]! + this.#table.padding[index]!);
  }

  /** Moves a block among the pinned ones, unless it is pinned already. Throws `OUT_OF_MEMORY`. */
  moveIn(index: number): void {
    const table = this.#table;
    const source = this.#regions.region(table.region[index]!);
    if (table.pins[index]! > 0 || source.role === "large" || source.role === "pinned") return;
    const byteLength = table.byteLength[index]!;
    let target = this.region;
    if (target === null || !fits(target, byteLength, table.alignment[index]!)) {
      target = this.#regions.take("pinned", "pinned blocks");
      target.handles = null;
      this.close();
      this.region = target;
    }
    this.#evacuator.moveInto(target, index);
  }

  /** Ends the region that has room; where nothing lives in it, its memory is free again. */
  close(): void {
    const { region } = this;
    if (region === null) return;
    this.region = null;
    closeRegion(region, this.#ledger);
    if (region.liveBytes === 0) this.#regions.recycle(region);
    else this.#release(region);
  }
}
