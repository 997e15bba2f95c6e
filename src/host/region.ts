/**
 * The contract of a memory region. Host and device regions implement it alike, and one conformance
 * suite runs against all of them.
 *
 * 1. `alloc` is synchronous and never waits. It returns a handle, or throws `OUT_OF_MEMORY` (budget
 *    or platform) or `REGION_EXHAUSTED` (a region of fixed size), and then nothing has changed.
 * 2. A handle is alive from `alloc` to `free`, to the end of its scope, or to the end of its region.
 *    Every use checks it: `USE_AFTER_DISPOSE` afterwards.
 * 3. `free` of a dead handle throws `DOUBLE_FREE`, of another region's handle `FOREIGN_HANDLE`.
 * 4. `realloc` keeps the contents up to the smaller size; the old handle is dead afterwards. Where it
 *    fails, the old handle and its contents are untouched.
 * 5. Recycled memory holds old bytes.
 */

import { requireAlignment } from "./alignment.ts";
import type { RegionObserver } from "./diagnostics/observer.ts";
import { InvalidArgumentError, LifetimeError, MoorageError } from "./errors.ts";
import type { RegionKind, RegionStats } from "./statistics.ts";

/** A request for memory. */
export interface AllocationRequest {
  /** At least 1. */
  readonly byteLength: number;
  /** A power of two; the region's own default where absent. */
  readonly alignment?: number;
  /** Names the allocation in errors and reports. */
  readonly label?: string;
}

/** A handle: what a region gives and takes back. */
export interface Allocation {
  readonly label: string;
  /** The bytes asked for. */
  readonly byteLength: number;
  /** Byte offset of the memory in the buffer that holds it; throws once the handle is dead. */
  readonly byteOffset: number;
  readonly isAlive: boolean;
}

/** An outcome that is returned instead of thrown. */
export type Result<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly error: MoorageError };

export interface MemoryRegion<A extends Allocation = Allocation> {
  readonly kind: RegionKind;
  readonly label: string;
  alloc(request: AllocationRequest): A;
  tryAlloc(request: AllocationRequest): Result<A>;
  /** Like `alloc`, but may wait for memory that work in flight still holds. */
  allocAsync(request: AllocationRequest): Promise<A>;
  tryAllocAsync(request: AllocationRequest): Promise<Result<A>>;
  free(allocation: A): void;
  realloc(allocation: A, byteLength: number): A;
  tryRealloc(allocation: A, byteLength: number): Result<A>;
  stats(): RegionStats;
}

/** The part of the contract that is the same for every region. */
export abstract class Region<A extends Allocation> implements MemoryRegion<A> {
  abstract readonly kind: RegionKind;
  abstract readonly label: string;
  abstract alloc(request: AllocationRequest): A;
  abstract free(allocation: A): void;
  abstract stats(): RegionStats;

  /** Told of every allocation and its end, where it is set. */
  observer: RegionObserver | null = null;

  /** Whether this region made `allocation`. */
  protected abstract owns(allocation: A): boolean;

  /** Copies the first `byteLength` bytes of `from` to `to`. */
  protected abstract copyContents(from: A, to: A, byteLength: number): void;

  /** The request that would make an allocation like `allocation` with another size. */
  protected abstract requestLike(allocation: A, byteLength: number): AllocationRequest;

  /** Regions whose memory comes back only when work in flight retires override this. */
  allocAsync(request: AllocationRequest): Promise<A> {
    // What alloc throws becomes a rejection.
    return new Promise((resolve) => resolve(this.alloc(request)));
  }

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

  realloc(allocation: A, byteLength: number): A {
    if (!this.owns(allocation)) throw foreignHandle(allocation.label, this.label);
    requireAlive(allocation, this);
    const next = this.alloc(this.requestLike(allocation, byteLength));
    try {
      // Who was told that memory is short may have freed it.
      requireAlive(allocation, this);
      this.copyContents(allocation, next, Math.min(allocation.byteLength, byteLength));
    } catch (error) {
      this.free(next);
      throw error;
    }
    this.free(allocation);
    return next;
  }

  tryRealloc(allocation: A, byteLength: number): Result<A> {
    return attempt(() => this.realloc(allocation, byteLength));
  }
}

/** @internal An outcome of Moorage's as a result; anything else is a defect, and thrown. */
export function attempt<T>(action: () => T): Result<T> {
  try {
    return { ok: true, value: action() };
  } catch (error) {
    return failure(error);
  }
}

/** @internal */
export function failure(error: unknown): { readonly ok: false; readonly error: MoorageError } {
  // Anything else is a defect, not an outcome, and must not be swallowed.
  if (error instanceof MoorageError) return { ok: false, error };
  throw error;
}

/**
 * Throws `INVALID_ARGUMENT` or `UNSUPPORTED_ALIGNMENT` for a request that no region could meet, or
 * that asks for more alignment than this one gives.
 */
export function checkRequest(
  request: AllocationRequest,
  region: string,
  maxAlignment = Infinity,
): void {
  // Nearly always, and short: the engine unfolds it where an allocation is hot.
  const { byteLength, alignment } = request;
  if (alignment === undefined && byteLength >= 1 && Number.isSafeInteger(byteLength)) return;
  checkThoroughly(request, region, maxAlignment);
}

function checkThoroughly(request: AllocationRequest, region: string, maxAlignment: number): void {
  const { byteLength, alignment, label = "allocation" } = request;
  if (!Number.isSafeInteger(byteLength) || byteLength < 1) {
    throw new InvalidArgumentError(
      Number.isInteger(byteLength) && byteLength > 0 ? "SIZE_OVERFLOW" : "INVALID_ARGUMENT",
      `"${label}" asked ${region} for ${byteLength} bytes; ask for an integer from 1 to 2^53 - 1`,
      { label },
    );
  }
  if (alignment === undefined) return;
  requireAlignment(alignment, label);
  if (alignment <= maxAlignment) return;
  throw new InvalidArgumentError(
    "UNSUPPORTED_ALIGNMENT",
    `"${label}" asked ${region} for an alignment of ${alignment} bytes; it gives ${maxAlignment} at most`,
    { label },
  );
}

/** Throws `USE_AFTER_DISPOSE` for a dead handle. */
export function requireAlive(allocation: Allocation, region: { readonly label: string }): void {
  if (!allocation.isAlive) throw deadHandle(allocation.label, region.label);
}

/** The error for a use of a dead handle. */
export function deadHandle(label: string, region: string): LifetimeError {
  return new LifetimeError(
    "USE_AFTER_DISPOSE",
    `"${label}" was used after it was freed (region ${region}); allocate again, or free it later`,
    { label },
  );
}

/** The error for a `free` of a dead handle. */
export function doubleFree(label: string, region: string): LifetimeError {
  return new LifetimeError(
    "DOUBLE_FREE",
    `"${label}" was freed twice in region ${region}; dispose() may be called twice, free() may not`,
    { label },
  );
}

/** The error for a handle that another region made. */
export function foreignHandle(label: string, region: string): LifetimeError {
  return new LifetimeError(
    "FOREIGN_HANDLE",
    `"${label}" was not allocated by region ${region}; give it back to the region or runtime that made it`,
    { label },
  );
}
