/** The part of the contract that regions of device memory share: what `realloc` is made of. */

import { Region } from "../../host/region.ts";
import type { AllocationRequest } from "../../host/region.ts";
import type { BlockTable, DeviceAllocation } from "./block-table.ts";

/** Copies bytes from one block to another, in the order of the command stream. */
export type BlockCopy = (from: DeviceAllocation, to: DeviceAllocation, byteLength: number) => void;

export abstract class DeviceRegion extends Region<DeviceAllocation> {
  protected readonly table: BlockTable;
  readonly #copy: BlockCopy;

  constructor(table: BlockTable, copy: BlockCopy) {
    super();
    this.table = table;
    this.#copy = copy;
  }

  /** `avoid` has a bit for each slab that the block should not be in: see `SlabPool`. */
  abstract override alloc(request: AllocationRequest, avoid?: number): DeviceAllocation;

  protected copyContents(from: DeviceAllocation, to: DeviceAllocation, byteLength: number): void {
    this.#copy(from, to, byteLength);
  }

  protected requestLike(block: DeviceAllocation, byteLength: number): AllocationRequest {
    return { byteLength, label: block.label };
  }
}
