/** `DeviceHeap`: long-lived tensors, allocated and freed one by one out of slabs. O(1) in their number. */

import { checkRequest } from "../../host/region.ts";
import type { AllocationRequest } from "../../host/region.ts";
import { RegionLedger } from "../../host/statistics.ts";
import type { RegionStats } from "../../host/statistics.ts";
import { lostNode } from "./block-table.ts";
import type { BlockTable, DeviceAllocation } from "./block-table.ts";
import { DeviceRegion } from "./device-region.ts";
import type { BlockCopy } from "./device-region.ts";
import type { SlabPool } from "./slab-pool.ts";
import type { Slab } from "./slab.ts";

export class DeviceHeap extends DeviceRegion {
  readonly kind = "device-heap";
  readonly label = "device heap";
  /** What the slabs hold and no arena has leased. */
  readonly ledger = new RegionLedger("device-heap");
  readonly #pool: SlabPool;

  constructor(pool: SlabPool, table: BlockTable, copy: BlockCopy) {
    super(table, copy);
    this.#pool = pool;
  }

  /** `avoid` has a bit for each slab that the block should not be in: see {@link SlabPool}. */
  alloc(request: AllocationRequest, avoid = 0): DeviceAllocation {
    const { byteLength, label = "tensor" } = request;
    checkRequest(request, this.label, this.#pool.granuleBytes);
    let place;
    try {
      place = this.#pool.place(byteLength, avoid, label);
    } catch (error) {
      this.ledger.failed();
      throw error;
    }
    const { slab, node } = place;
    const extent = slab.allocator.sizeOf(node) * slab.granuleBytes;
    const offset = slab.allocator.offsetOf(node) * slab.granuleBytes;
    this.ledger.allocated(byteLength, extent - byteLength);
    const block = this.table.add(this, slab.index, node, offset, extent, byteLength, label);
    this.observer?.allocated(this, block, label, byteLength);
    return block;
  }

  /** Drops one reference; the block ends with the last. Recorded work may still use its bytes. */
  free(block: DeviceAllocation): void {
    this.table.checkFree(block, this);
    const { row } = block;
    this.table.references[row]!--;
    if (this.table.references[row]! > 0) return;
    this.observer?.freed(this, block);
    const node = this.table.node[row]!;
    if (node !== lostNode) {
      this.ledger.freed(block.byteLength, this.table.extent[row]! - block.byteLength);
      this.#pool.slab(this.table.slab[row]!).allocator.free(node);
    }
    this.table.remove(block);
  }

  /** @internal A slab is gone with everything in it; its handles stay until they are disposed. */
  forget(slab: Slab): void {
    for (const block of this.table.live()) {
      const { row } = block;
      // The index may have had another slab before, whose blocks are lost already.
      if (this.table.slab[row] !== slab.index || this.table.node[row] === lostNode) continue;
      this.table.node[row] = lostNode;
      if (slab.failure !== null) this.table.failures.set(block.key, slab.failure);
      if (block.region !== this) continue;
      this.ledger.freed(block.byteLength, this.table.extent[row]! - block.byteLength);
    }
    this.ledger.reserve(-(slab.byteLength - slab.leasedBytes));
  }

  stats(): RegionStats {
    return {
      ...this.ledger.stats(),
      // Counted by the allocators themselves, so that the identity is a check and not a definition.
      freeBytes: this.#pool.freeBytes,
      metadataBytes: this.#pool.metadataBytes + this.table.metadataBytes,
    };
  }

  protected owns(block: DeviceAllocation): boolean {
    return block.region === this;
  }
}
