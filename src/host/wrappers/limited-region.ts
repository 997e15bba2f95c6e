/** A bound on a region's live bytes, tighter than the region's own budget. */

import { InvalidArgumentError, OutOfMemoryError } from "../errors.ts";
import type { Allocation, AllocationRequest, MemoryRegion } from "../region.ts";
import { RegionWrapper } from "./region-wrapper.ts";

export class LimitedRegion<A extends Allocation> extends RegionWrapper<A> {
  readonly limitBytes: number;
  #refusedCount = 0;

  /**
   * @param limitBytes - of live bytes, as they were asked for; padding is the inner region's affair
   * @throws `INVALID_ARGUMENT` for a limit that is no positive number
   */
  constructor(inner: MemoryRegion<A>, limitBytes: number) {
    super(inner);
    if (!(limitBytes > 0)) {
      throw new InvalidArgumentError(
        "INVALID_ARGUMENT",
        `the limit around ${inner.label} is ${limitBytes} bytes; give a positive number`,
      );
    }
    this.limitBytes = limitBytes;
  }

  /** Allocations that the limit refused, and the inner region never saw. */
  get refusedCount(): number {
    return this.#refusedCount;
  }

  /** Throws `OUT_OF_MEMORY` where the live bytes would pass the limit. */
  override alloc(request: AllocationRequest): A {
    this.#require(request.byteLength, request.label);
    return this.inner.alloc(request);
  }

  /** Does not wait for the limit: what is live ends by its owner's doing, not by work in flight. */
  override async allocAsync(request: AllocationRequest): Promise<A> {
    this.#require(request.byteLength, request.label);
    return await this.inner.allocAsync(request);
  }

  /** While it copies, both are live: the limit holds then too. */
  override realloc(allocation: A, byteLength: number): A {
    if (allocation.isAlive) this.#require(byteLength, allocation.label);
    return this.inner.realloc(allocation, byteLength);
  }

  #require(byteLength: number, label = "allocation"): void {
    const { liveBytes } = this.inner.stats();
    // What is no size at all is the inner region's to refuse, with its own words.
    if (!(liveBytes + byteLength > this.limitBytes) || !Number.isSafeInteger(byteLength)) return;
    this.#refusedCount++;
    const availableBytes = Math.max(0, this.limitBytes - liveBytes);
    throw new OutOfMemoryError(
      `"${label}" asked ${this.label} for ${byteLength} bytes, and its limit of ${this.limitBytes} leaves ${availableBytes}; free something first, or raise the limit`,
      { requestedBytes: byteLength, availableBytes },
      { label },
    );
  }
}
