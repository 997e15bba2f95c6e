/**
 * What goes through one door of a region: two parts of a program that share a region each see their
 * own share of its statistics.
 */

import type { Allocation, AllocationRequest } from "../region.ts";
import { RegionWrapper } from "./region-wrapper.ts";

export interface PassageCounts {
  readonly allocationCount: number;
  /** Freed through this wrapper; what ends in bulk with its scope or region is not. */
  readonly freeCount: number;
  readonly failedCount: number;
  /** Bytes of all allocations so far, as they were asked for. */
  readonly totalAllocatedBytes: number;
  readonly totalFreedBytes: number;
  readonly largestBytes: number;
  /** Allocations by size: entry `n` counts those of 2^n to 2^(n + 1) - 1 bytes. */
  readonly histogram: readonly number[];
}

export class CountedRegion<A extends Allocation> extends RegionWrapper<A> {
  #allocationCount = 0;
  #freeCount = 0;
  #failedCount = 0;
  #totalAllocated = 0;
  #totalFreed = 0;
  #largest = 0;
  readonly #histogram: number[] = [];

  /** A copy of the counts at this instant. */
  counts(): PassageCounts {
    return {
      allocationCount: this.#allocationCount,
      freeCount: this.#freeCount,
      failedCount: this.#failedCount,
      totalAllocatedBytes: this.#totalAllocated,
      totalFreedBytes: this.#totalFreed,
      largestBytes: this.#largest,
      histogram: [...this.#histogram],
    };
  }

  override alloc(request: AllocationRequest): A {
    return this.#counted(() => this.inner.alloc(request));
  }

  override async allocAsync(request: AllocationRequest): Promise<A> {
    try {
      return this.#made(await this.inner.allocAsync(request));
    } catch (error) {
      this.#failedCount++;
      throw error;
    }
  }

  override free(allocation: A): void {
    const { byteLength } = allocation;
    this.inner.free(allocation);
    this.#freed(byteLength);
  }

  override realloc(allocation: A, byteLength: number): A {
    const before = allocation.byteLength;
    const next = this.#counted(() => this.inner.realloc(allocation, byteLength));
    this.#freed(before);
    return next;
  }

  #counted(action: () => A): A {
    let made: A;
    try {
      made = action();
    } catch (error) {
      this.#failedCount++;
      throw error;
    }
    return this.#made(made);
  }

  #made(allocation: A): A {
    const { byteLength } = allocation;
    const bin = Math.floor(Math.log2(byteLength));
    while (this.#histogram.length <= bin) this.#histogram.push(0);
    this.#histogram[bin]!++;
    this.#allocationCount++;
    this.#totalAllocated += byteLength;
    this.#largest = Math.max(this.#largest, byteLength);
    return allocation;
  }

  #freed(byteLength: number): void {
    this.#freeCount++;
    this.#totalFreed += byteLength;
  }
}
