import { InvalidArgumentError } from "../../host/errors.ts";
import type { BlockRegion, BlockTable, DeviceAllocation } from "./block-table.ts";
import { bufferUsage } from "./gpu-constants.ts";
import type { SlabPool } from "./slab-pool.ts";
import type { Slab } from "./slab.ts";

interface Wrapped {
  readonly slab: Slab;
  count: number;
}

/** Buffers of somebody else's. They are never destroyed here, and count in no budget. */
export class ForeignBuffers implements BlockRegion {
  readonly kind = "foreign";
  readonly label = "foreign buffers";
  readonly #pool: SlabPool;
  readonly #table: BlockTable;
  /** A buffer is one slab, however often parts of it are wrapped: its parts may meet in a dispatch. */
  readonly #wrapped = new Map<GPUBuffer, Wrapped>();
  readonly #byRow = new Map<number, Wrapped>();

  constructor(pool: SlabPool, table: BlockTable) {
    this.#pool = pool;
    this.#table = table;
  }

  /**
   * A range of a buffer as a block. Throws `INVALID_ARGUMENT` for a buffer that kernels and copies
   * cannot use, `UNSUPPORTED_ALIGNMENT`, and `INVALID_LAYOUT` for a range that leaves the buffer.
   */
  wrap(buffer: GPUBuffer, byteOffset: number, byteLength: number, label: string): DeviceAllocation {
    const { granuleBytes } = this.#pool;
    const needed = bufferUsage.storage | bufferUsage.copySource | bufferUsage.copyTarget;
    if ((buffer.usage & needed) !== needed) {
      throw new InvalidArgumentError(
        "INVALID_ARGUMENT",
        `"${label}" is to wrap buffer "${buffer.label}", which lacks a usage; create it with STORAGE | COPY_SRC | COPY_DST`,
        { label },
      );
    }
    if (byteOffset % granuleBytes !== 0 || byteOffset < 0) {
      throw new InvalidArgumentError(
        "UNSUPPORTED_ALIGNMENT",
        `"${label}" is to start at byte ${byteOffset} of buffer "${buffer.label}"; this device binds at multiples of ${granuleBytes}`,
        { label },
      );
    }
    const extent = Math.ceil(byteLength / 4) * 4;
    if (byteOffset + extent > buffer.size) {
      throw new InvalidArgumentError(
        "INVALID_LAYOUT",
        `"${label}" needs ${extent} bytes from byte ${byteOffset} on, and buffer "${buffer.label}" has ${buffer.size}`,
        { label },
      );
    }
    const wrapped = this.#wrapped.get(buffer) ?? { slab: this.#pool.adopt(buffer), count: 0 };
    this.#wrapped.set(buffer, wrapped);
    wrapped.count++;
    const { index } = wrapped.slab;
    const block = this.#table.add(this, index, -1, byteOffset, extent, byteLength, label);
    this.#byRow.set(block.row, wrapped);
    return block;
  }

  free(block: DeviceAllocation): void {
    const table = this.#table;
    table.checkFree(block, this);
    table.references[block.row]!--;
    if (table.references[block.row]! > 0) return;
    // Not by its index, which may be another's after a loss of the device.
    const wrapped = this.#byRow.get(block.row)!;
    this.#byRow.delete(block.row);
    if (--wrapped.count === 0) {
      this.#wrapped.delete(wrapped.slab.buffer);
      this.#pool.drop(wrapped.slab);
    }
    table.remove(block);
  }
}
