/** Page ranges of slabs, leased to device arenas. An arena owns its ranges alone. */

import { RegionLedger } from "../../host/statistics.ts";
import type { DeviceAllocation } from "./block-table.ts";
import type { DeviceHeap } from "./device-heap.ts";
import { PageHoles } from "./page-holes.ts";
import type { Place, SlabPool } from "./slab-pool.ts";
import type { Slab } from "./slab.ts";

/** A leased range of a slab, filled from its start. */
export interface DevicePage {
  readonly slab: Slab;
  readonly node: number;
  readonly start: number;
  readonly byteLength: number;
  /** Bytes handed out, from the start on. */
  used: number;
  /** Among them: what came back early. */
  readonly holes: PageHoles;
  /** Whether one block takes all of it, so that it can go back before the arena ends. */
  readonly isDedicated: boolean;
}

export class DevicePagePool {
  /** Bytes of an ordinary page; larger blocks get a page of their own. */
  readonly pageBytes: number;
  /** Counts all device arenas together. */
  readonly ledger = new RegionLedger("device-arena");
  readonly #pool: SlabPool;
  readonly #heap: DeviceHeap;

  constructor(pool: SlabPool, heap: DeviceHeap, pageBytes = 256 * 1024) {
    this.#pool = pool;
    this.#heap = heap;
    this.pageBytes = pageBytes;
  }

  get granuleBytes(): number {
    return this.#pool.granuleBytes;
  }

  /** A page apart from the slabs in `avoid`, or `null` where there is none without undue growth. */
  leaseApart(byteLength: number, avoid: number, label: string): DevicePage | null {
    const place = this.#pool.placeApart(this.#size(byteLength), avoid, label);
    return place && this.#lease(place, byteLength);
  }

  /** A page, preferably apart from the slabs in `avoid`. Throws `OUT_OF_MEMORY`. */
  lease(byteLength: number, avoid: number, label: string): DevicePage {
    return this.#lease(this.#pool.place(this.#size(byteLength), avoid, label), byteLength);
  }

  #size(byteLength: number): number {
    return byteLength > this.pageBytes / 2 ? byteLength : this.pageBytes;
  }

  #lease({ slab, node }: Place, byteLength: number): DevicePage {
    const page = {
      slab,
      node,
      start: slab.allocator.offsetOf(node) * slab.granuleBytes,
      byteLength: slab.allocator.sizeOf(node) * slab.granuleBytes,
      used: 0,
      holes: new PageHoles(),
      isDedicated: byteLength > this.pageBytes / 2,
    };
    slab.leasedBytes += page.byteLength;
    this.#heap.ledger.reserve(-page.byteLength);
    return page;
  }

  /** Makes a page with one block a block of the heap, where it is. */
  promote(page: DevicePage, { byteLength }: DeviceAllocation, label: string): DeviceAllocation {
    const { slab, node } = page;
    slab.leasedBytes -= page.byteLength;
    this.#heap.ledger.reserve(page.byteLength);
    return this.#heap.adopt({ slab, node }, byteLength, label);
  }

  /** A block of the heap for what has no page of its own. Throws `OUT_OF_MEMORY`. */
  heapBlock({ byteLength }: DeviceAllocation, label: string): DeviceAllocation {
    return this.#heap.alloc({ byteLength, label });
  }

  /** Takes a page back. Safe as soon as the commands that use it are recorded: the queue is in order. */
  giveBack(page: DevicePage): void {
    const { slab } = page;
    slab.leasedBytes -= page.byteLength;
    // A slab that the platform refused is gone, and its reservation with it.
    if (slab.failure !== null || this.#pool.slab(slab.index) !== slab) return;
    slab.allocator.free(page.node);
    this.#heap.ledger.reserve(page.byteLength);
  }
}
