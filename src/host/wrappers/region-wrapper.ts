/**
 * A region around another one. Handles are the inner region's own, so wrappers stack in any order, and
 * what is allocated through a wrapper may be freed inside it. A wrapper adds one concern by overriding
 * what that concern sees; the rest goes through.
 */

import type { Allocation, AllocationRequest, MemoryRegion, Result } from "../region.ts";
import { attempt, failure } from "../region.ts";
import type { RegionKind, RegionStats } from "../statistics.ts";

export abstract class RegionWrapper<A extends Allocation> implements MemoryRegion<A> {
  readonly inner: MemoryRegion<A>;

  constructor(inner: MemoryRegion<A>) {
    this.inner = inner;
  }

  get kind(): RegionKind {
    return this.inner.kind;
  }

  get label(): string {
    return this.inner.label;
  }

  alloc(request: AllocationRequest): A {
    return this.inner.alloc(request);
  }

  allocAsync(request: AllocationRequest): Promise<A> {
    return this.inner.allocAsync(request);
  }

  free(allocation: A): void {
    this.inner.free(allocation);
  }

  realloc(allocation: A, byteLength: number): A {
    return this.inner.realloc(allocation, byteLength);
  }

  stats(): RegionStats {
    return this.inner.stats();
  }

  // The forms that return go through those that throw, so that a concern is written once.

  tryAlloc(request: AllocationRequest): Result<A> {
    return attempt(() => this.alloc(request));
  }

  async tryAllocAsync(request: AllocationRequest): Promise<Result<A>> {
    try {
      return { ok: true, value: await this.allocAsync(request) };
    } catch (error) {
      return failure(error);
    }
  }

  tryRealloc(allocation: A, byteLength: number): Result<A> {
    return attempt(() => this.realloc(allocation, byteLength));
  }
}
