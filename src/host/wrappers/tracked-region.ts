/** Who holds what: every live allocation of a region, with its age and the place that made it. */

import { MoorageError } from "../errors.ts";
import type { Allocation, AllocationRequest, MemoryRegion } from "../region.ts";
import { RegionWrapper } from "./region-wrapper.ts";

/** An allocation that has not ended. */
export interface Outstanding<A extends Allocation = Allocation> {
  readonly allocation: A;
  readonly label: string;
  readonly byteLength: number;
  /** Milliseconds since it was made. */
  readonly ageMs: number;
  /** Where it was made, if stacks are kept. */
  readonly stack: string | undefined;
}

export interface TrackingOptions {
  /** Keeps the stack of every allocation: some microseconds and a kilobyte each. Default false. */
  readonly stacks?: boolean;
  /** Milliseconds; default `performance.now`. */
  readonly now?: () => number;
}

interface Made {
  readonly at: number;
  readonly stack: string | undefined;
}

export class TrackedRegion<A extends Allocation> extends RegionWrapper<A> {
  readonly #stacks: boolean;
  readonly #now: () => number;
  readonly #made = new Map<A, Made>();
  /** Handles that ended in bulk are swept out when the map has doubled since the last sweep. */
  #sweepAt = 64;

  constructor(inner: MemoryRegion<A>, options: TrackingOptions = {}) {
    super(inner);
    this.#stacks = options.stacks ?? false;
    this.#now = options.now ?? (() => performance.now());
  }

  /** What was allocated through this wrapper and lives, oldest first. O(live). */
  outstanding(): Outstanding<A>[] {
    this.#sweep();
    const now = this.#now();
    return Array.from(this.#made, ([allocation, { at, stack }]) => ({
      allocation,
      label: allocation.label,
      byteLength: allocation.byteLength,
      ageMs: now - at,
      stack,
    }));
  }

  /** Throws `LEAK`, naming everything that lives, unless nothing does. */
  assertNoLeaks(): void {
    const live = this.outstanding();
    if (live.length === 0) return;
    const shown = live.slice(0, 20).map(({ label, byteLength, ageMs, stack }) => {
      const where = stack === undefined ? "" : `\n${stack}`;
      return `  "${label}" ${byteLength} bytes, ${Math.round(ageMs)} ms old${where}`;
    });
    const more = live.length > 20 ? [`  and ${live.length - 20} more`] : [];
    throw new MoorageError(
      "LEAK",
      [
        `${live.length} live in ${this.label}; free them, or keep them in mind:`,
        ...shown,
        ...more,
      ].join("\n"),
      { label: live[0]!.label },
    );
  }

  override alloc(request: AllocationRequest): A {
    return this.#track(this.inner.alloc(request));
  }

  override async allocAsync(request: AllocationRequest): Promise<A> {
    return this.#track(await this.inner.allocAsync(request));
  }

  override free(allocation: A): void {
    this.inner.free(allocation);
    this.#made.delete(allocation);
  }

  override realloc(allocation: A, byteLength: number): A {
    const next = this.inner.realloc(allocation, byteLength);
    this.#made.delete(allocation);
    return this.#track(next);
  }

  #track(allocation: A): A {
    if (this.#made.size >= this.#sweepAt) {
      this.#sweep();
      this.#sweepAt = Math.max(64, 2 * this.#made.size);
    }
    this.#made.set(allocation, {
      at: this.#now(),
      stack: this.#stacks ? stackOfCaller() : undefined,
    });
    return allocation;
  }

  #sweep(): void {
    for (const allocation of this.#made.keys()) {
      if (!allocation.isAlive) this.#made.delete(allocation);
    }
  }
}

/** The frames outside of the wrapper. */
function stackOfCaller(): string | undefined {
  return new Error("allocated here").stack?.split("\n").slice(4).join("\n");
}
