/**
 * `HotArena`: temporaries of a computation. Allocation moves one number (O(1)); the memory comes
 * back in bulk when the arena is reset or ends. Nothing in it ever moves.
 *
 *     lease ─▶ [ page │used────▶│free ] [ page … ] ─▶ reset / end: whole pages back to their source
 */

import { Alignment, alignUp, requireAlignment } from "../alignment.ts";
import { arrayOver, hostDtypeInfo } from "../dtype.ts";
import type { ArrayOf, HostDType } from "../dtype.ts";
import { InvalidArgumentError, LifetimeError } from "../errors.ts";
import { checkRequest, doubleFree, foreignHandle, Region } from "../region.ts";
import type { AllocationRequest } from "../region.ts";
import type { RegionStats } from "../statistics.ts";
import { RegionLedger } from "../statistics.ts";
import { MiB } from "../units.ts";
import { HotAllocation } from "./hot-allocation.ts";
import { CarvedPage, FixedPage, GivenPage } from "./page-source.ts";
import type { AlignmentKind, ArenaMemory, ArenaPage, PageSource } from "./page-source.ts";

/** Below this, an offset and its alignment are 32-bit integers. */
const bitsReach = 2 ** 30;

// Of this module: what is imported is loaded anew at each use.
const defaultAlignment = Alignment.default;

export interface FixedArenaOptions {
  /** Default 1 MiB. */
  readonly byteLength?: number;
  readonly label?: string;
  /** A reset detaches the memory: raw arrays kept by mistake have length 0. Costs some microseconds. */
  readonly strict?: boolean;
}

export interface GivenArenaOptions {
  /** Where the arena begins in the memory; default 0. */
  readonly byteOffset?: number;
  /** Default: to the end of the memory as it is now. */
  readonly byteLength?: number;
  readonly label?: string;
}

/**
 * What a reset does with the pages: `free` gives them back to their source, `retain` keeps them for the
 * next round, a number keeps at most so many bytes.
 */
export type ResetMode = "free" | "retain" | number;

export class HotArena extends Region<HotAllocation> {
  readonly kind = "hot";
  readonly label: string;
  /** @internal Grows at every reset. */
  generation = 0;
  readonly #source: PageSource;
  readonly #ledger: RegionLedger;
  /** The piece of another arena that this one lies in. */
  readonly #parent: HotAllocation | null;
  #pages: ArenaPage[] = [];
  /** Pages that a reset kept. */
  #spare: ArenaPage[] = [];
  #page: ArenaPage | null = null;
  /** The first free byte of the page, from the start of its buffer. */
  #at = 0;
  /** How far {@link array} goes without asking anything: 0 where something has to be asked. */
  #quickEnd = 0;
  /** Bytes that the latest allocation skipped to be aligned. */
  #padding = 0;
  /** What {@link usedBytes} is beyond {@link #at}: the full pages, less what comes before this one. */
  #usedBase = 0;
  #ended = false;

  /** An arena that grows by pages of a pool. */
  constructor(source: PageSource, label = "hot arena", parent: HotAllocation | null = null) {
    super();
    this.#source = source;
    this.#ledger = new RegionLedger("hot", source.ledger);
    this.#parent = parent;
    this.label = label;
  }

  /** An arena of one size: what does not fit is `REGION_EXHAUSTED`. */
  static fixed(options: FixedArenaOptions = {}): HotArena {
    const { byteLength = MiB, label = "fixed arena", strict = false } = options;
    return new HotArena(new FixedPage(byteLength, strict, label), label);
  }

  /**
   * An arena in memory that somebody else owns: a buffer, a buffer shared with workers, or the memory
   * of a WebAssembly module. A reset cannot detach it. After a WebAssembly memory has grown, raw arrays
   * over it have length 0, as the platform has it; what is asked of the arena lies in the new buffer.
   */
  static over(memory: ArenaMemory, options: GivenArenaOptions = {}): HotArena {
    const { byteOffset = 0, label = "arena over given memory" } = options;
    const { byteLength: there } = "buffer" in memory ? memory.buffer : memory;
    const byteLength = options.byteLength ?? there - byteOffset;
    return new HotArena(new GivenPage(memory, byteOffset, byteLength, label), label);
  }

  /** Whether an alignment is one of addresses, or of offsets in a buffer. */
  get alignmentKind(): AlignmentKind {
    return this.#source.alignmentKind;
  }

  /** Whether it can be used: neither it nor the arena that it was carved from has ended. */
  get isUsable(): boolean {
    return !this.#ended && (this.#parent === null || this.#parent.isAlive);
  }

  /** Bytes that are taken, padding and the unused ends of full pages included. */
  get usedBytes(): number {
    return this.#usedBase + this.#at;
  }

  /** Bytes that could still be taken: of this page, of pages that were kept, and of the source. */
  get remainingBytes(): number {
    if (!this.isUsable) return 0;
    const inPage = this.#page === null ? 0 : this.#page.start + this.#page.size - this.#at;
    const kept = this.#spare.reduce((sum, { size }) => sum + size, 0);
    return inPage + kept + this.#source.availableBytes;
  }

  /** Throws `SCOPE_ENDED` after {@link end}. O(1), and O(page) when a page is taken from the engine. */
  alloc(request: AllocationRequest): HotAllocation {
    const { byteLength, label = "temporary", alignment = defaultAlignment } = request;
    checkRequest(request, this.label);
    const at = this.#bump(byteLength, alignment, label);
    const made = { byteLength, alignment, label };
    const allocation = new HotAllocation(this, this.#page!, at, made, this.#padding);
    this.observer?.allocated(this, allocation, label, byteLength);
    return allocation;
  }

  /** Takes bytes of the current page, or of the next; returns where they begin in its buffer. */
  #bump(byteLength: number, alignment: number, label: string): number {
    if (!this.isUsable) throw this.#endedError(label);
    let page = this.#page;
    let at = rounded(this.#at, alignment);
    if (page === null || at + byteLength > page.start + page.size) {
      page = this.#nextPage(byteLength, alignment, label);
      at = rounded(page.start, alignment);
    }
    // What alignment skipped is padding until the reset.
    this.#padding = at - this.#at;
    this.#at = at + byteLength;
    this.#ledger.allocated(byteLength, this.#padding);
    return at;
  }

  #endedError(label: string): LifetimeError {
    return new LifetimeError(
      "SCOPE_ENDED",
      `"${label}" was asked of ${this.label}, whose scope has ended; allocate inside the scope`,
      { label },
    );
  }

  #nextPage(byteLength: number, alignment: number, label: string): ArenaPage {
    const fitting = this.#spare.findIndex(
      ({ start, size }) => alignUp(start, alignment) - start + byteLength <= size,
    );
    let page: ArenaPage;
    if (fitting >= 0) {
      page = this.#spare.splice(fitting, 1)[0]!;
    } else {
      try {
        page = this.#leased(byteLength, alignment, label);
      } catch (error) {
        this.#ledger.failed();
        throw error;
      }
      this.#ledger.lease(page.size);
    }
    // The rest of the page before stays unused until the reset: neither live nor free.
    if (this.#page !== null) {
      const end = this.#page.start + this.#page.size;
      this.#ledger.defer(end - this.#at);
      this.#usedBase += end;
    }
    this.#pages.push(page);
    this.#page = page;
    this.#at = page.start;
    this.#usedBase -= page.start;
    // Whether an arena inside another one is usable, that one has to say.
    this.#quickEnd = this.#parent === null ? Math.min(page.start + page.size, bitsReach) : 0;
    return page;
  }

  /** A page in which the bytes fit even where its start has to be aligned first. */
  #leased(byteLength: number, alignment: number, label: string): ArenaPage {
    const page = this.#source.lease(byteLength, label);
    if (alignUp(page.start, alignment) - page.start + byteLength <= page.size) return page;
    this.#source.giveBack(page);
    return this.#source.lease(byteLength + alignment, label);
  }

  /**
   * A typed array of `count` elements, valid until the arena is reset or ends. It holds old bytes. O(1),
   * and O(page) when a page is taken from the engine.
   */
  array<D extends HostDType>(
    dtype: D,
    count: number,
    label?: string,
    alignment?: number,
  ): ArrayOf[D] {
    // Short, so that the engine makes it part of the loop that calls it: everything else is in #array.
    const at = (this.#at + defaultAlignment - 1) & -defaultAlignment;
    const end = at + count * hostDtypeInfo(dtype).bytes;
    const isPlain = alignment === undefined && this.observer === null;
    // Above 2 GiB bits do not reach, and the offset would be a lower one.
    if (at < this.#at || end > this.#quickEnd || !isPlain || (count | 0) !== count || count < 1)
      return this.#array(dtype, count, label, alignment);
    // First: memory that somebody else has taken away throws here, and nothing is counted.
    const array = arrayOver(dtype, this.#page!.memory, at, count);
    this.#ledger.allocated(end - at, at - this.#at);
    this.#at = end;
    return array;
  }

  #array<D extends HostDType>(
    dtype: D,
    count: number,
    label = "temporary",
    alignment: number = defaultAlignment,
  ): ArrayOf[D] {
    const byteLength = count * hostDtypeInfo(dtype).bytes;
    // No handle is made here, so the request is checked by hand.
    const isWhole = Number.isSafeInteger(count) && count > 0;
    if (!isWhole || byteLength > Number.MAX_SAFE_INTEGER) {
      throw new InvalidArgumentError(
        isWhole ? "SIZE_OVERFLOW" : "INVALID_LAYOUT",
        `"${label}" asked ${this.label} for ${count} elements of ${dtype}; ask for a positive whole number, below 2^53 bytes`,
        { label },
      );
    }
    if (alignment !== defaultAlignment) requireAlignment(alignment, label);
    // An array starts at a multiple of its elements, whatever less was asked for.
    const aligned = Math.max(alignment, hostDtypeInfo(dtype).bytes);
    // What is observed has a name and an end of its own.
    const request = { byteLength, alignment: aligned, label };
    if (this.observer !== null) return this.alloc(request).array(dtype);
    const at = this.#bump(byteLength, aligned, label);
    return arrayOver(dtype, this.#page!.memory, at, count);
  }

  /** A typed array that begins at a multiple of `alignment` bytes: 64 suits every vector there is. */
  simdArray<D extends HostDType>(
    dtype: D,
    count: number,
    label?: string,
    alignment: number = Alignment.simd512,
  ): ArrayOf[D] {
    requireAlignment(alignment, label ?? "temporary");
    return this.array(dtype, count, label, alignment);
  }

  /** A single number, as a typed array of one element. */
  value<D extends HostDType>(dtype: D, initial: number, label?: string): ArrayOf[D] {
    const array = this.array(dtype, 1, label);
    array[0] = initial;
    return array;
  }

  /**
   * An arena of a fixed size inside this one. It ends with this one's next reset at the latest; its
   * bytes come back then.
   */
  nested(options: { readonly byteLength: number; readonly label?: string }): HotArena {
    const { byteLength, label = `arena in ${this.label}` } = options;
    const piece = this.alloc({ byteLength, alignment: Alignment.cacheLine, label });
    const arena = new HotArena(new CarvedPage(piece), label, piece);
    arena.observer = this.observer;
    return arena;
  }

  /** Ends one handle. Its bytes come back with the others, at the reset. */
  free(allocation: HotAllocation): void {
    if (allocation.arena !== this) throw foreignHandle(allocation.label, this.label);
    if (!allocation.isAlive) throw doubleFree(allocation.label, this.label);
    allocation.freed = true;
    this.observer?.freed(this, allocation);
    this.#ledger.freed(allocation.byteLength, allocation.padding);
    this.#ledger.defer(allocation.byteLength + allocation.padding);
  }

  /** Ends every handle. O(pages). */
  reset(mode: ResetMode = "free"): void {
    this.generation++;
    this.observer?.endedAll(this);
    this.#ledger.freedInBulk();
    let keepBytes = mode === "free" ? 0 : mode === "retain" ? Number.POSITIVE_INFINITY : mode;
    // The oldest first: a loop finds its pages in the order of the round before.
    const pages = [...this.#pages, ...this.#spare];
    this.#spare = [];
    for (const page of pages) {
      if (page.size <= keepBytes) {
        keepBytes -= page.size;
        this.#source.keep(page);
        this.#spare.push(page);
        continue;
      }
      this.#ledger.lease(-page.size);
      this.#source.giveBack(page);
    }
    this.#pages = [];
    this.#page = null;
    this.#at = 0;
    this.#quickEnd = 0;
    this.#usedBase = 0;
  }

  /** Resets, gives every page back, and refuses allocations from now on. */
  end(): void {
    this.reset();
    this.#ended = true;
    if (this.#parent?.isAlive === true) this.#parent.arena.free(this.#parent);
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

/** {@link alignUp}, by bits as far as they reach: quicker than a remainder. */
function rounded(offset: number, alignment: number): number {
  return offset <= bitsReach && alignment <= bitsReach
    ? (offset + alignment - 1) & -alignment
    : alignUp(offset, alignment);
}
