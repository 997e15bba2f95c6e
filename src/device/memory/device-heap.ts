/** `DeviceHeap`: long-lived tensors, allocated and freed one by one out of slabs. O(1) in their number. */

import { MoorageError } from "../../host/errors.ts";
import { checkRequest } from "../../host/region.ts";
import type { AllocationRequest } from "../../host/region.ts";
import { RegionLedger } from "../../host/statistics.ts";
import type { RegionStats } from "../../host/statistics.ts";
import { lostNode } from "./block-table.ts";
import type { BlockTable, DeviceAllocation } from "./block-table.ts";
import { DeviceRegion } from "./device-region.ts";
import type { BlockCopy } from "./device-region.ts";
import type { Place, SlabPool } from "./slab-pool.ts";
import type { Slab } from "./slab.ts";

/** The free memory of a device's slabs. */
export interface StorageReport {
  readonly freeBytes: number;
  /** The largest tensor that needs no new slab. */
  readonly largestFreeBytes: number;
  /** What sizes are rounded up to. */
  readonly granuleBytes: number;
  /** Free ranges by size: element k counts those of 2^k to 2^(k+1) - 1 granules. */
  readonly histogram: readonly number[];
}

export class DeviceHeap extends DeviceRegion {
  readonly kind = "device-heap";
  readonly label = "device heap";
  /** What the slabs hold and no arena has leased. */
  readonly ledger = new RegionLedger("device-heap");
  /** @internal Whether recorded work waits for something, and has not been placed for good. */
  isHolding: () => boolean = () => false;
  /** @internal Settles when the device has done what is recorded, and a task later. */
  whenQuiet: () => Promise<void> = async () => {};
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
    return this.adopt(place, byteLength, label);
  }

  /** @internal Makes a place in a slab a block of this heap. */
  adopt({ slab, node }: Place, byteLength: number, label: string): DeviceAllocation {
    const extent = slab.allocator.sizeOf(node) * slab.granuleBytes;
    const offset = slab.allocator.offsetOf(node) * slab.granuleBytes;
    this.ledger.allocated(byteLength, extent - byteLength);
    const block = this.table.add(this, slab.index, node, offset, extent, byteLength, label);
    this.observer?.allocated(this, block, label, byteLength);
    return block;
  }

  /**
   * Like `alloc`, but where there is no memory it waits for the device and for the engine's finalizers,
   * as long as that frees anything.
   */
  override async allocAsync(request: AllocationRequest): Promise<DeviceAllocation> {
    for (;;) {
      const result = this.tryAlloc(request);
      if (result.ok) return result.value;
      if (result.error.code !== "OUT_OF_MEMORY") throw result.error;
      const before = this.#pool.availableBytes;
      this.#pool.ladder.waited();
      await this.whenQuiet();
      if (this.#pool.availableBytes <= before) throw result.error;
      // It is not refused yet: the next attempt says so, or does not.
      this.ledger.retried();
    }
  }

  /**
   * Grows or shrinks in place where the memory behind the block is free and nobody else owns the block
   * (O(1)); else by a copy on the device. The old handle is dead either way.
   */
  override realloc(block: DeviceAllocation, byteLength: number): DeviceAllocation {
    return this.#resized(block, byteLength) ?? super.realloc(block, byteLength);
  }

  #resized(block: DeviceAllocation, byteLength: number): DeviceAllocation | null {
    const { table } = this;
    const { row, label } = block;
    // Its source is forgotten only where it is resized: replace() does that. First, because who takes the
    // rest of a read may move the block.
    if (table.hasReaders && this.owns(block) && block.isAlive) table.takeRest(block.key);
    if (!this.owns(block) || !block.isAlive || table.references[row]! > 1) return null;
    const node = table.node[row]!;
    // Work that waits knows the block by its handle: it gets a copy, behind what waits.
    if (node === lostNode || this.isHolding()) return null;
    checkRequest(this.requestLike(block, byteLength), this.label);
    const slab = this.#pool.slab(table.slab[row]!);
    // A buffer that is too large to be bound whole has one block: what it left would be nobody's.
    if (slab.isWide) return null;
    const oldExtent = table.extent[row]!;
    if (!slab.allocator.resize(node, Math.ceil(byteLength / slab.granuleBytes))) return null;
    const extent = slab.allocator.sizeOf(node) * slab.granuleBytes;
    this.observer?.freed(this, block);
    this.ledger.freed(block.byteLength, oldExtent - block.byteLength);
    this.ledger.allocated(byteLength, extent - byteLength);
    const next = table.replace(block, extent, byteLength);
    this.observer?.allocated(this, next, label, byteLength);
    return next;
  }

  /** What is free, and in how many pieces. O(free blocks). */
  storage(): StorageReport {
    const histogram: number[] = [];
    let largestFreeBytes = 0;
    for (const { allocator, granuleBytes } of this.#pool.slabs) {
      largestFreeBytes = Math.max(largestFreeBytes, allocator.largestFree * granuleBytes);
      for (const [power, count] of allocator.histogram().entries()) {
        histogram[power] = (histogram[power] ?? 0) + count;
      }
    }
    const { freeBytes, granuleBytes } = this.#pool;
    return { freeBytes, largestFreeBytes, granuleBytes, histogram };
  }

  /** Drops one reference; the block ends with the last. Recorded work may still use its bytes. */
  free(block: DeviceAllocation): void {
    this.table.checkFree(block, this);
    const { row } = block;
    this.table.references[row]!--;
    if (this.table.references[row]! > 0) return;
    this.observer?.freed(this, block);
    this.table.willChange(block.ownKey);
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
    if (!slab.isForeign) this.ledger.reserve(-(slab.byteLength - slab.leasedBytes));
  }

  /** @internal New memory for a block whose slab is gone: its handle is good again. The failure, if any. */
  readmit(block: DeviceAllocation): MoorageError | null {
    const { table } = this;
    const { row, byteLength, label } = block;
    let place;
    try {
      place = this.#pool.place(byteLength, 0, label);
    } catch (error) {
      if (!(error instanceof MoorageError)) throw error;
      return error;
    }
    const { slab, node } = place;
    if (!block.isAlive) {
      // Who was told that memory is short has disposed it.
      slab.allocator.free(node);
      return null;
    }
    const extent = slab.allocator.sizeOf(node) * slab.granuleBytes;
    table.slab[row] = slab.index;
    table.node[row] = node;
    table.offset[row] = slab.allocator.offsetOf(node) * slab.granuleBytes;
    table.extent[row] = extent;
    this.ledger.allocated(byteLength, extent - byteLength);
    table.followOwners(block);
    return null;
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
