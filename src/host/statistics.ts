/**
 * What a region counts. At every instant live + padding + deferred + free = reserved.
 */

/** A quantity over time. */
export interface Counter {
  readonly value: number;
  /** The highest value so far. */
  readonly peak: number;
  /** The sum of everything ever added. */
  readonly total: number;
}

/** The five terms of the identity, in bytes. */
export interface Balance {
  /** Bytes that handles own, as they were asked for. */
  readonly liveBytes: number;
  /** Bytes lost to alignment and size classes inside live allocations. */
  readonly paddingBytes: number;
  /** Bytes that were freed but that work in flight still needs. */
  readonly deferredBytes: number;
  /** Bytes that the next allocation may take. */
  readonly freeBytes: number;
  /** Bytes that the region holds of the platform. */
  readonly reservedBytes: number;
}

/** The kinds of memory region. */
export type RegionKind = "hot" | "pinned" | "general" | "device-arena" | "device-heap";

/** A region's statistics at one instant. */
export interface RegionStats extends Balance {
  readonly region: RegionKind;
  /** Bytes that the region's own bookkeeping takes, beside the reserved ones. */
  readonly metadataBytes: number;
  readonly live: Counter;
  readonly reserved: Counter;
  readonly allocationCount: number;
  readonly freeCount: number;
  /** Allocations that were refused. */
  readonly failedCount: number;
  /** The balance at the moment when `reservedBytes` was highest. */
  readonly atPeak: Balance;
}

/**
 * The counters of one region. It sits on every allocation's path, where it adds to two or three numbers:
 * live bytes only rise between two frees, so their peak is looked at when they fall, and their total is
 * what is live and what was freed. What an arena counts, the ledger of all arenas (its parent) counts too.
 */
export class RegionLedger {
  readonly region: RegionKind;
  readonly #parent: RegionLedger | null;
  live = 0;
  padding = 0;
  deferred = 0;
  reserved = 0;
  metadata = 0;
  allocationCount = 0;
  freeCount = 0;
  failedCount = 0;
  /** The highest that live bytes were before they last fell. */
  #livePeak = 0;
  #freedTotal = 0;
  #reservedPeak = 0;
  #reservedTotal = 0;
  #atPeak: Balance = {
    liveBytes: 0,
    paddingBytes: 0,
    deferredBytes: 0,
    freeBytes: 0,
    reservedBytes: 0,
  };

  /** @param parent - one that has no parent itself */
  constructor(region: RegionKind, parent: RegionLedger | null = null) {
    this.region = region;
    this.#parent = parent;
  }

  /** An allocation of `bytes`, which takes `padding` bytes more than it asked for. */
  allocated(bytes: number, padding: number): void {
    this.allocationCount++;
    this.live += bytes;
    const parent = this.#parent;
    // Written out, not called: the engine unfolds nothing that calls itself.
    if (parent !== null) {
      parent.allocationCount++;
      parent.live += bytes;
    }
    if (padding !== 0) this.pad(padding);
  }

  /** Bytes that live allocations lose to alignment, more of them or fewer (negative). */
  pad(bytes: number): void {
    this.padding += bytes;
    this.#parent?.pad(bytes);
  }

  /** The end of an allocation that {@link allocated} counted. */
  freed(bytes: number, padding: number): void {
    this.freeCount++;
    this.#fall(bytes);
    this.padding -= padding;
    this.#parent?.freed(bytes, padding);
  }

  /** Everything that is live or deferred ended at once. */
  freedInBulk(): void {
    const { live, padding, deferred } = this;
    this.#endInBulk(this.allocationCount - this.freeCount, live, padding, deferred);
  }

  #endInBulk(count: number, live: number, padding: number, deferred: number): void {
    this.freeCount += count;
    this.#fall(live);
    this.padding -= padding;
    this.deferred -= deferred;
    if (this.#parent !== null) this.#parent.#endInBulk(count, live, padding, deferred);
  }

  #fall(bytes: number): void {
    if (this.live > this.#livePeak) this.#livePeak = this.live;
    this.live -= bytes;
    this.#freedTotal += bytes;
  }

  /** Freed bytes that cannot be used again yet, or that now can (negative). */
  defer(bytes: number): void {
    this.deferred += bytes;
    this.#parent?.defer(bytes);
  }

  /**
   * A live allocation took another place: what it left is deferred, and its padding changed by
   * `paddingChange`.
   */
  moved(paddingChange: number, leftBytes: number): void {
    this.padding += paddingChange;
    this.deferred += leftBytes;
    this.#parent?.moved(paddingChange, leftBytes);
  }

  /** An allocation was refused. */
  failed(): void {
    this.failedCount++;
    this.#parent?.failed();
  }

  /** What {@link failed} counted is tried again. */
  retried(): void {
    this.failedCount--;
    this.#parent?.retried();
  }

  /** The region took `bytes` of the platform, or gave them back (negative). */
  reserve(bytes: number): void {
    this.lease(bytes);
    this.#parent?.reserve(bytes);
  }

  /** Like {@link reserve}, of bytes that the parent holds of the platform already. */
  lease(bytes: number): void {
    this.reserved += bytes;
    if (bytes > 0) this.#reservedTotal += bytes;
    if (this.reserved >= this.#reservedPeak) {
      this.#reservedPeak = this.reserved;
      this.#atPeak = this.balance();
    }
  }

  balance(): Balance {
    return {
      liveBytes: this.live,
      paddingBytes: this.padding,
      deferredBytes: this.deferred,
      freeBytes: this.reserved - this.live - this.padding - this.deferred,
      reservedBytes: this.reserved,
    };
  }

  stats(): RegionStats {
    return {
      region: this.region,
      ...this.balance(),
      metadataBytes: this.metadata,
      live: {
        value: this.live,
        peak: Math.max(this.#livePeak, this.live),
        total: this.#freedTotal + this.live,
      },
      reserved: { value: this.reserved, peak: this.#reservedPeak, total: this.#reservedTotal },
      allocationCount: this.allocationCount,
      freeCount: this.freeCount,
      failedCount: this.failedCount,
      atPeak: this.#atPeak,
    };
  }
}
