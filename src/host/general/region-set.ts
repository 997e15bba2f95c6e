/** The memory of a general heap: its regions, within a budget. */

import { alignUp } from "../alignment.ts";
import { OutOfMemoryError } from "../errors.ts";
import type { RegionLedger } from "../statistics.ts";
import { require } from "./general-heap-options.ts";
import type { GrowthPolicy } from "./general-heap-options.ts";
import { HeapRegion } from "./heap-region.ts";
import type { RegionRole } from "./heap-region.ts";

export interface RegionSetOptions {
  readonly regionBytes: number;
  readonly budgetBytes: number;
  /** Empty regions beyond this many bytes go back to the engine. */
  readonly cacheBytes: number;
  readonly growth: number | GrowthPolicy;
}

export class RegionSet {
  readonly regionBytes: number;
  readonly budgetBytes: number;
  readonly #cacheBytes: number;
  readonly #growth: number | GrowthPolicy;
  readonly #ledger: RegionLedger;
  readonly #byId = new Map<number, HeapRegion>();
  readonly #free: HeapRegion[] = [];
  /** Memory of large blocks that ended, by size. */
  readonly #freeLarge = new Map<number, HeapRegion[]>();
  #freeBytes = 0;
  #nextId = 0;
  #nextSerial = 0;

  constructor(ledger: RegionLedger, options: RegionSetOptions) {
    this.#ledger = ledger;
    this.regionBytes = options.regionBytes;
    this.budgetBytes = options.budgetBytes;
    this.#cacheBytes = options.cacheBytes;
    this.#growth = options.growth;
  }

  region(id: number): HeapRegion {
    return this.#byId.get(id)!;
  }

  /** Greater than the serial of every region that is in use. */
  get nextSerial(): number {
    return this.#nextSerial;
  }

  /** All regions that hold something. */
  *inUse(): Iterable<HeapRegion> {
    for (const region of this.#byId.values()) if (region.role !== "free") yield region;
  }

  /** Bytes that could be reserved or taken again. */
  get availableBytes(): number {
    return Math.max(
      0,
      this.budgetBytes - this.#ledger.reserved + this.#freeBytes - this.regionBytes,
    );
  }

  /**
   * An empty region. Allocation leaves the last region of the budget to evacuation (`isReserve`): a
   * heap that is full could otherwise never be compacted. Throws `OUT_OF_MEMORY`.
   */
  take(role: RegionRole, label: string, isReserve = false): HeapRegion {
    const kept = isReserve ? 0 : this.regionBytes;
    let region =
      this.#free.length * this.regionBytes > kept || isReserve ? this.#free.pop() : undefined;
    if (region === undefined) {
      this.#makeRoom(this.regionBytes, kept);
      // Where that is too much, nothing is free any more.
      if (this.#ledger.reserved + this.regionBytes + kept > this.budgetBytes) {
        throw this.#refused(this.regionBytes, label);
      }
      // Asked first: where the policy throws, nothing has changed.
      const aheadBytes = this.#aheadBytes();
      region = this.#create(role, this.regionBytes, label);
      this.#growAhead(aheadBytes);
    } else {
      this.#freeBytes -= region.size;
    }
    region.role = role;
    region.serial = this.#nextSerial++;
    return region;
  }

  /** A region for one block of its own, of the block's size class. Throws `OUT_OF_MEMORY`. */
  takeLarge(byteLength: number, label: string): HeapRegion {
    const size = largeSize(byteLength, label);
    let region = this.#freeLarge.get(size)?.pop();
    if (region === undefined) {
      this.#makeRoom(size, this.regionBytes);
      if (this.#ledger.reserved + size + this.regionBytes > this.budgetBytes)
        throw this.#refused(size, label);
      region = this.#create("large", size, label);
    } else {
      this.#freeBytes -= size;
    }
    region.role = "large";
    region.handles = null;
    region.serial = this.#nextSerial++;
    return region;
  }

  #create(role: RegionRole, size: number, label: string): HeapRegion {
    let region: HeapRegion;
    try {
      region = new HeapRegion(this.#nextId, role, size);
    } catch (cause) {
      throw this.#refused(size, label, cause);
    }
    this.#nextId++;
    this.#byId.set(region.id, region);
    this.#ledger.reserve(size);
    return region;
  }

  #aheadBytes(): number {
    const { reserved: reservedBytes, live: liveBytes } = this.#ledger;
    const growth = this.#growth;
    if (typeof growth === "number") return (reservedBytes + this.regionBytes) * growth;
    const { budgetBytes, regionBytes } = this;
    const bytes = growth({ reservedBytes, liveBytes, budgetBytes, regionBytes });
    require("growth", bytes, bytes >= 0);
    return bytes;
  }

  /** Untouched memory costs an engine nothing, and a heap that grows will want it. */
  #growAhead(bytes: number): void {
    const ahead = Math.floor(bytes / this.regionBytes);
    const left = Math.floor((this.budgetBytes - this.#ledger.reserved) / this.regionBytes) - 1;
    const room = Math.floor((this.#cacheBytes - this.#freeBytes) / this.regionBytes);
    for (let count = Math.min(ahead, left, room); count > 0; count--) {
      let region: HeapRegion;
      try {
        region = this.#create("free", this.regionBytes, "growth");
      } catch {
        return;
      }
      this.#free.push(region);
      this.#freeBytes += region.size;
    }
  }

  /** Takes back a region whose blocks have all ended or moved; views over it die. */
  recycle(region: HeapRegion): void {
    this.#ledger.defer(-region.deadBytes);
    const isLarge = region.role === "large";
    region.vacate();
    const { size } = region;
    if (this.#freeBytes + size > this.#cacheBytes) {
      this.#drop(region);
      return;
    }
    this.#freeBytes += size;
    if (!isLarge) this.#free.push(region);
    else {
      const same = this.#freeLarge.get(size);
      if (same === undefined) this.#freeLarge.set(size, [region]);
      else same.push(region);
    }
  }

  #drop(region: HeapRegion): void {
    this.#byId.delete(region.id);
    this.#ledger.reserve(-region.size);
  }

  #makeRoom(size: number, kept: number): void {
    const over = this.#ledger.reserved + size + kept - this.budgetBytes;
    if (over > 0) this.trim(Math.max(0, this.#freeBytes - over));
  }

  /** Gives empty regions back to the engine until at most `keepBytes` of them are left. */
  trim(keepBytes: number): void {
    for (const [size, same] of this.#freeLarge) {
      while (this.#freeBytes > keepBytes && same.length > 0) {
        this.#freeBytes -= size;
        this.#drop(same.pop()!);
      }
      if (same.length === 0) this.#freeLarge.delete(size);
    }
    while (this.#freeBytes > keepBytes && this.#free.length > 0) {
      this.#freeBytes -= this.regionBytes;
      this.#drop(this.#free.pop()!);
    }
  }

  #refused(requestedBytes: number, label: string, cause?: unknown): OutOfMemoryError {
    const { availableBytes } = this;
    return new OutOfMemoryError(
      `"${label}" needs ${requestedBytes} bytes of the general heap, and ${availableBytes} are left of ` +
        `${this.budgetBytes - this.regionBytes} (a budget of ${this.budgetBytes}, of which a region is kept for compaction); dispose blocks, let the engine find unreachable ones (await a timer), or raise the budget`,
      { requestedBytes, availableBytes },
      { label, cause },
    );
  }
}

/** Thirty-two classes to an octave, so that little is lost, and some ends are found again; whole pages. */
function largeSize(byteLength: number, label: string): number {
  const step = 2 ** Math.max(12, Math.floor(Math.log2(byteLength)) - 5);
  try {
    return alignUp(byteLength, step);
  } catch (cause) {
    throw new OutOfMemoryError(
      `"${label}" asked for ${byteLength} bytes, which no buffer can have`,
      { requestedBytes: byteLength, availableBytes: 0 },
      { label, cause },
    );
  }
}
