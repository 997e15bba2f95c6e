/**
 * A region that fails when it is told to: at the n-th call that may fail. A test runs its scenario once
 * to count the calls, then once for each of them, and looks whether anything was lost.
 */

import { OutOfMemoryError } from "../errors.ts";
import type { Allocation, AllocationRequest } from "../region.ts";
import { RegionWrapper } from "./region-wrapper.ts";

export class FaultyRegion<A extends Allocation> extends RegionWrapper<A> {
  #callCount = 0;
  #failAt = Number.POSITIVE_INFINITY;

  /** Calls so far that might have failed: `alloc`, `allocAsync` and `realloc` in all their forms. */
  get fallibleCallCount(): number {
    return this.#callCount;
  }

  /** Fails the `count`-th fallible call from now on, 1 being the next; 0 fails none. */
  failAfter(count: number): void {
    this.#failAt = count > 0 ? this.#callCount + count : Number.POSITIVE_INFINITY;
  }

  override alloc(request: AllocationRequest): A {
    this.#pass(request.byteLength, request.label);
    return this.inner.alloc(request);
  }

  override async allocAsync(request: AllocationRequest): Promise<A> {
    this.#pass(request.byteLength, request.label);
    return await this.inner.allocAsync(request);
  }

  override realloc(allocation: A, byteLength: number): A {
    this.#pass(byteLength, allocation.label);
    return this.inner.realloc(allocation, byteLength);
  }

  #pass(requestedBytes: number, label = "allocation"): void {
    this.#callCount++;
    if (this.#callCount !== this.#failAt) return;
    throw new OutOfMemoryError(
      `"${label}" asked ${this.label} for ${requestedBytes} bytes, and fault injection refused call ${this.#callCount}`,
      { requestedBytes, availableBytes: 0 },
      { label },
    );
  }
}
