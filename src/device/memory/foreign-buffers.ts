import { InvalidArgumentError } from "../../host/errors.ts";
import type { BlockRegion, BlockTable, DeviceAllocation } from "./block-table.ts";
import { bufferUsage } from "./gpu-constants.ts";
import type { SlabPool } from "./slab-pool.ts";

/** Buffers of somebody else's. They are never destroyed here, and count in no budget. */
export class ForeignBuffers implements BlockRegion {
  readonly kind = "foreign";
  readonly label = "foreign buffers";
  readonly #pool: SlabPool;
  readonly #table: BlockTable;

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
    const slab = this.#pool.adopt(buffer);
    return this.#table.add(this, slab.index, -1, byteOffset, extent, byteLength, label);
  }

  free(block: DeviceAllocation): void {
    const table = this.#table;
    table.checkFree(block, this);
    table.references[block.row]!--;
    if (table.references[block.row]! > 0) return;
    this.#pool.drop(this.#pool.slab(table.slab[block.row]!));
    table.remove(block);
  }
}
