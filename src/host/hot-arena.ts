/**
 * `HotArena`: temporaries of a computation. Allocation moves one number (O(1)); the memory comes
 * back in bulk when the arena is reset or ends. Nothing in it ever moves.
 *
 *     lease ─▶ [ page │used────▶│free ] [ page … ] ─▶ reset / end: whole pages back to the pool
 */

import { Alignment, alignUp } from "./alignment.ts";
import { arrayOver, hostDtypeInfo } from "./dtype.ts";
import type { ArrayOf, HostDType } from "./dtype.ts";
import { LifetimeError } from "./errors.ts";
import { byteSize, contiguousLayout } from "./layout.ts";
import type { PagePool } from "./page-pool.ts";
import { checkRequest, doubleFree, foreignHandle, Region, requireAlive } from "./region.ts";
import type { Allocation, AllocationRequest } from "./region.ts";
import type { RegionStats } from "./statistics.ts";
import { RegionLedger } from "./statistics.ts";

/** A piece of an arena. */
export class HotAllocation implements Allocation {
  readonly label: string;
  readonly byteLength: number;
  /** @internal */
  readonly arena: HotArena;
  /** @internal Bytes between the end of the previous allocation and this one. */
  readonly padding: number;
  /** @internal */
  readonly alignment: number;
  /** @internal The arena's generation when this was made: a reset ends all older handles at once. */
  readonly generation: number;
  /** @internal */
  freed = false;
  readonly #page: ArrayBuffer;
  readonly #byteOffset: number;

  /** @internal */
  constructor(
    arena: HotArena,
    page: ArrayBuffer,
    byteOffset: number,
    request: Required<AllocationRequest>,
    padding: number,
  ) {
    this.arena = arena;
    this.generation = arena.generation;
    this.#page = page;
    this.#byteOffset = byteOffset;
    this.byteLength = request.byteLength;
    this.alignment = request.alignment;
    this.label = request.label;
    this.padding = padding;
  }

  get isAlive(): boolean {
    return !this.freed && this.generation === this.arena.generation;
  }

  get byteOffset(): number {
    requireAlive(this, this.arena);
    return this.#byteOffset;
  }

  /**
   * The bytes themselves. The array is raw: kept past the end of the scope it reads recycled
   * memory, which JavaScript cannot prevent without detaching the whole page.
   */
  bytes(): Uint8Array<ArrayBuffer> {
    requireAlive(this, this.arena);
    return new Uint8Array(this.#page, this.#byteOffset, this.byteLength);
  }

  /** The bytes as elements of `dtype`; the same caveat holds. */
  array<D extends HostDType>(dtype: D): ArrayOf[D] {
    requireAlive(this, this.arena);
    const count = Math.floor(this.byteLength / hostDtypeInfo(dtype).bytes);
    return arrayOver(dtype, this.#page, this.#byteOffset, count);
  }
}

export class HotArena extends Region<HotAllocation> {
  readonly kind = "hot";
  readonly label: string;
  /** @internal Grows at every reset. */
  generation = 0;
  readonly #pool: PagePool;
  readonly #ledger: RegionLedger;
  #pages: ArrayBuffer[] = [];
  #page: ArrayBuffer | null = null;
  #used = 0;
  #ended = false;

  constructor(pool: PagePool, label = "hot arena") {
    super();
    this.#pool = pool;
    this.#ledger = new RegionLedger("hot", pool.ledger);
    this.label = label;
  }

  /** Throws `SCOPE_ENDED` after {@link end}. O(1), and O(page) when a page is taken from the engine. */
  alloc(request: AllocationRequest): HotAllocation {
    const { byteLength, label = "temporary", alignment = Alignment.default } = request;
    checkRequest(request, this.label);
    if (this.#ended) {
      throw new LifetimeError(
        "SCOPE_ENDED",
        `"${label}" was asked of ${this.label}, whose scope has ended; allocate inside the scope`,
        { label },
      );
    }
    let offset = alignUp(this.#used, alignment);
    if (this.#page === null || offset + byteLength > this.#page.byteLength) {
      this.#nextPage(byteLength, label);
      offset = 0;
    }
    // What alignment skipped, and what the previous page left over, is padding until the reset.
    const padding = offset - this.#used;
    this.#used = offset + byteLength;
    this.#ledger.allocated(byteLength, padding);
    return new HotAllocation(this, this.#page!, offset, { byteLength, alignment, label }, padding);
  }

  #nextPage(byteLength: number, label: string): void {
    let page: ArrayBuffer;
    try {
      page = this.#pool.lease(byteLength, label);
    } catch (error) {
      this.#ledger.failed();
      throw error;
    }
    // The rest of the page before stays unused until the reset: neither live nor free.
    if (this.#page !== null) this.#ledger.defer(this.#page.byteLength - this.#used);
    this.#pages.push(page);
    this.#page = page;
    this.#used = 0;
    this.#ledger.lease(page.byteLength);
  }

  /** A typed array of `count` elements, valid until the arena is reset or ends. */
  array<D extends HostDType>(dtype: D, count: number, label?: string): ArrayOf[D] {
    const { shape } = contiguousLayout([count], label ?? "temporary");
    const byteLength = byteSize(count, hostDtypeInfo(dtype).bytes, shape, label ?? "temporary");
    return this.alloc({ byteLength, alignment: Alignment.default, ...(label && { label }) }).array(
      dtype,
    );
  }

  /** Ends one handle. Its bytes come back with the others, at the reset. */
  free(allocation: HotAllocation): void {
    if (allocation.arena !== this) throw foreignHandle(allocation.label, this.label);
    if (!allocation.isAlive) throw doubleFree(allocation.label, this.label);
    allocation.freed = true;
    this.#ledger.freed(allocation.byteLength, allocation.padding);
    this.#ledger.defer(allocation.byteLength + allocation.padding);
  }

  /** Ends every handle and gives the pages back to the pool. O(pages). */
  reset(): void {
    this.generation++;
    this.#ledger.freedInBulk();
    for (const page of this.#pages) {
      this.#ledger.lease(-page.byteLength);
      this.#pool.giveBack(page);
    }
    this.#pages = [];
    this.#page = null;
    this.#used = 0;
  }

  /** Resets, and refuses allocations from now on. */
  end(): void {
    this.reset();
    this.#ended = true;
  }

  stats(): RegionStats {
    return this.#ledger.stats();
  }

  protected owns(allocation: HotAllocation): boolean {
    return allocation.arena === this;
  }

  protected copyContents(from: HotAllocation, to: HotAllocation, byteLength: number): void {
    to.bytes().set(from.bytes().subarray(0, byteLength));
  }

  protected requestLike(allocation: HotAllocation, byteLength: number): AllocationRequest {
    return { byteLength, alignment: allocation.alignment, label: allocation.label };
  }
}
