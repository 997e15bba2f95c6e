/**
 * `DeviceArena`: scratch of kernels, and results that stay inside a scope. Blocks are bumped out of
 * leased pages, one open page to each slab so that outputs can be kept apart from inputs; the pages
 * go back in bulk when the arena ends, and a disposed block's memory earlier where it can.
 */

import { alignUp } from "../../host/alignment.ts";
import { LifetimeError } from "../../host/errors.ts";
import { checkRequest, requireAlive } from "../../host/region.ts";
import type { AllocationRequest } from "../../host/region.ts";
import { RegionLedger } from "../../host/statistics.ts";
import type { RegionStats } from "../../host/statistics.ts";
import { lostNode } from "./block-table.ts";
import type { BlockTable, DeviceAllocation } from "./block-table.ts";
import type { DevicePage, DevicePagePool } from "./device-pages.ts";
import { DeviceRegion } from "./device-region.ts";
import type { BlockCopy } from "./device-region.ts";

export class DeviceArena extends DeviceRegion {
  readonly kind = "device-arena";
  readonly label: string;
  readonly #pages: DevicePagePool;
  readonly #ledger: RegionLedger;
  /** Pages that small blocks are bumped out of; at most one to a slab is open. */
  readonly #open: DevicePage[] = [];
  readonly #full: DevicePage[] = [];
  readonly #blocks: DeviceAllocation[] = [];
  readonly #pageOf = new Map<number, DevicePage>();
  /** By row: blocks of the heap that have taken over the memory of blocks, which borrow it. */
  readonly #promoted = new Map<number, DeviceAllocation>();
  #ended = false;

  constructor(pages: DevicePagePool, table: BlockTable, copy: BlockCopy, label = "device arena") {
    super(table, copy);
    this.#pages = pages;
    this.#ledger = new RegionLedger("device-arena", pages.ledger);
    this.label = label;
  }

  get ended(): boolean {
    return this.#ended;
  }

  /** O(open pages). `avoid` has a bit for each slab that the block should not be in. */
  alloc(request: AllocationRequest, avoid = 0): DeviceAllocation {
    const { byteLength, label = "scratch" } = request;
    checkRequest(request, this.label, this.#pages.granuleBytes);
    if (this.#ended) {
      throw new LifetimeError(
        "SCOPE_ENDED",
        `"${label}" was asked of ${this.label}, whose scope has ended; allocate inside the scope`,
        { label },
      );
    }
    const extent = alignUp(byteLength, this.#pages.granuleBytes);
    let page: DevicePage;
    try {
      page = this.#page(extent, avoid, label);
    } catch (error) {
      this.#ledger.failed();
      throw error;
    }
    const { slab } = page;
    const hole = page.holes.take(extent);
    const offset = page.start + (hole < 0 ? page.used : hole);
    if (hole < 0) page.used += extent;
    this.#ledger.allocated(byteLength, extent - byteLength);
    const block = this.table.add(this, slab.index, -1, offset, extent, byteLength, label);
    this.#blocks.push(block);
    this.observer?.allocated(this, block, label, byteLength);
    if (page.isDedicated) this.#pageOf.set(block.row, page);
    return block;
  }

  #page(extent: number, avoid: number, label: string): DevicePage {
    let other: DevicePage | null = null;
    for (const page of this.#open) {
      const hasRoom = page.byteLength - page.used >= extent || page.holes.fits(extent);
      if (!hasRoom || page.slab.failure !== null) continue;
      if (page.slab.index >= 31 || (avoid & (1 << page.slab.index)) === 0) return page;
      other ??= page;
    }
    const apart = this.#pages.leaseApart(extent, avoid, label);
    if (apart !== null) return this.#adopt(apart);
    // No colour is to be had without growth: the dispatch will bind exact ranges.
    return other ?? this.#adopt(this.#pages.lease(extent, avoid, label));
  }

  #adopt(page: DevicePage): DevicePage {
    this.#ledger.reserve(page.byteLength);
    if (page.isDedicated) return page;
    const rival = this.#open.findIndex((open) => open.slab === page.slab);
    if (rival >= 0) {
      const [full] = this.#open.splice(rival, 1);
      // What is left of it stays unused until the end: neither live nor free.
      this.#ledger.defer(full!.byteLength - full!.used + full!.holes.byteLength);
      this.#full.push(full!);
    }
    this.#open.push(page);
    return page;
  }

  /**
   * Drops one reference. A block with a page of its own gives that back now; the bytes of another are
   * taken by the arena's next block that they suffice for.
   */
  free(block: DeviceAllocation): void {
    this.table.checkFree(block, this);
    const { row } = block;
    this.table.references[row]!--;
    if (this.table.references[row]! > 0) return;
    const heir = this.#promoted.get(row);
    if (heir !== undefined) {
      this.#promoted.delete(row);
      this.table.remove(block);
      this.#release(heir);
      return;
    }
    this.observer?.freed(this, block);
    this.#giveUp(block, () => this.table.remove(block));
  }

  /**
   * Gives a block's memory to the heap, and a handle on it; the block borrows it until it ends. O(1)
   * where the block has a page of its own; the bytes of a smaller one are copied. Throws `OUT_OF_MEMORY`.
   */
  promote(block: DeviceAllocation, label: string): DeviceAllocation {
    requireAlive(block, this);
    const { table } = this;
    const { row } = block;
    const before = this.#promoted.get(row);
    if (before?.isAlive === true) {
      table.references[before.row]!++;
      return before;
    }
    // That may need memory, and who is told that it is short may dispose the block.
    table.takeRest(block.ownKey);
    requireAlive(block, this);
    // What is lost has no memory to hand over, and what is lent stays where somebody knows it to be.
    const isLost = table.node[row] === lostNode;
    const own = this.#pageOf.get(row);
    if (isLost || (own === undefined && table.isLent(block))) {
      const apart = this.#pages.heapBlock(block, label);
      if (!isLost) this.#copyOrFree(block, apart);
      return apart;
    }
    let heir: DeviceAllocation;
    if (own === undefined) {
      heir = this.#pages.heapBlock(block, label);
      const meanwhile = this.#promoted.get(row);
      if (block.isAlive && meanwhile?.isAlive === true) {
        // Who was told that memory is short has kept it, too.
        heir.region.free(heir);
        table.references[meanwhile.row]!++;
        return meanwhile;
      }
      this.#copyOrFree(block, heir);
      this.#giveUp(block, () => {});
    } else {
      this.#pageOf.delete(row);
      this.#ledger.freed(block.byteLength, table.extent[row]! - block.byteLength);
      this.#ledger.reserve(-own.byteLength);
      heir = this.#pages.promote(own, block, label);
    }
    this.observer?.freed(this, block);
    table.alias(block, heir);
    this.#promoted.set(row, heir);
    return heir;
  }

  #copyOrFree(block: DeviceAllocation, heir: DeviceAllocation): void {
    try {
      // Who was told that memory is short may have disposed it.
      requireAlive(block, this);
      this.copyContents(block, heir, block.byteLength);
    } catch (error) {
      heir.region.free(heir);
      throw error;
    }
  }

  #release(heir: DeviceAllocation): void {
    this.table.lend(heir, -1);
    heir.region.free(heir);
  }

  /** Takes a block's bytes back. `leave` is when its row may go. */
  #giveUp(block: DeviceAllocation, leave: () => void): void {
    const { row } = block;
    const extent = this.table.extent[row]!;
    const offset = this.table.offset[row]!;
    const end = offset + extent;
    const slab = this.table.slab[row]!;
    const isLost = this.table.node[row] === lostNode;
    leave();
    this.#ledger.freed(block.byteLength, extent - block.byteLength);
    const own = this.#pageOf.get(row);
    if (own !== undefined) {
      this.#pageOf.delete(row);
      this.#return(own);
      return;
    }
    const open = this.#open.find(
      ({ slab: home, start, used }) =>
        !isLost && home.index === slab && offset >= start && end <= start + used,
    );
    if (open !== undefined && reclaim(open, offset - open.start, extent)) return;
    // A page that is full, or has too many holes: its bytes wait for the end of the arena.
    this.#ledger.defer(extent);
  }

  #return(page: DevicePage): void {
    this.#ledger.reserve(-page.byteLength);
    this.#pages.giveBack(page);
  }

  /** Ends every block and gives all pages back; recorded work may still use them. O(blocks). */
  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.observer?.endedAll(this);
    for (const block of this.#blocks) if (block.isAlive) this.table.remove(block);
    this.#ledger.freedInBulk();
    for (const page of this.#open) this.#return(page);
    for (const page of this.#full) this.#return(page);
    for (const page of this.#pageOf.values()) this.#return(page);
    for (const heir of this.#promoted.values()) this.#release(heir);
    this.#blocks.length = 0;
    this.#pageOf.clear();
    this.#promoted.clear();
  }

  stats(): RegionStats {
    return this.#ledger.stats();
  }

  protected owns(block: DeviceAllocation): boolean {
    return block.region === this;
  }
}

/** Gives bytes back to an open page: off its end, or as a hole. */
function reclaim(page: DevicePage, start: number, byteLength: number): boolean {
  const { holes } = page;
  if (start + byteLength < page.used) return holes.add(start, start + byteLength);
  page.used = holes.shrink(start);
  return true;
}
